import { describe, expect, it } from 'vitest'
import { encodeNpy } from '../../../preload/npy'
import { usePrompt } from '../../../renderer/stores/prompt'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { settle, type MountedView } from '../support/mount-view'
import { asked, button, choose, patchView, sweeps, writeInto } from '../support/patch-view'

describe('the sources of a sweep', () => {
  withLayout()
  const { open } = patchView()

  it('are a mean over the pairs’ prompts, or over others', async () => {
    const opened = await open()
    await choose(opened, 'Source', 'mean')
    const { A, B } = usePrompt().slots
    expect(sweeps(opened).at(-1)?.source).toEqual({ kind: 'mean', rows: [A.tokens, B.tokens] })
    await button(opened, 'other prompts').trigger('click')
    await settle()
    expect(opened.view.text()).toContain('Write the prompts that the activations come from.')
    await opened.view.get('[aria-label="Prompts of the source, one a line"]').setValue('one two\n\nthree')
    await new Promise((resolve) => setTimeout(resolve, 400))
    await settle(24)
    const source = sweeps(opened).at(-1)?.source
    expect(source?.kind === 'mean' ? source.rows : []).toHaveLength(2)
    expect(opened.view.text()).toContain('mean over all positions of 2 prompts')
  })

  it('are drawn from prompts that are long enough', async () => {
    const opened = await open()
    await choose(opened, 'Source', 'resample')
    expect(sweeps(opened).at(-1)?.source).toMatchObject({ kind: 'resample', seed: 0 })
    expect(opened.view.text()).toContain('one of 2 prompts is drawn for each pair')
    await button(opened, 'other prompts').trigger('click')
    await opened.view.get('[aria-label="Prompts of the source, one a line"]').setValue('too short')
    await new Promise((resolve) => setTimeout(resolve, 400))
    await settle(24)
    expect(opened.view.text()).toMatch(/No prompt of the source has \d+ tokens/)
  })

  it('are a tensor of a file, at every layer', async () => {
    const opened = await open()
    await choose(opened, 'Source', 'stored tensor')
    expect(opened.view.text()).toContain('Open a tensor, or take one of a preset.')
    const data = new Float32Array(128).fill(1)
    opened.shell.toOpen = { name: 'v.npy', bytes: encodeNpy({ type: 'float32', shape: [128], data }) }
    await button(opened, 'Open a tensor…').trigger('click')
    await settle(24)
    const { source, tensors } = sweeps(opened).at(-1) ?? {}
    const names = source?.kind === 'tensor' ? Object.values(source.tensors) : []
    expect(new Set(names).size).toBe(1)
    expect(names).toHaveLength(4)
    expect(tensors?.[names[0]].data).toEqual(data)
    opened.shell.toOpen = { name: 'v.npy', bytes: Uint8Array.of(1, 2, 3) }
    await button(opened, 'Open a tensor…').trigger('click')
    await settle(16)
    expect(sweeps(opened).at(-1)?.source).toEqual(source)
  })
})

describe('path patching in the view', () => {
  withLayout()
  const { open } = patchView()

  async function paths(opened: MountedView, receivers: string): Promise<void> {
    await button(opened, 'Paths').trigger('click')
    await settle()
    expect(opened.view.text()).toContain('Choose receivers')
    await writeInto(opened, 'Receivers, typed', receivers)
  }

  it('sends from heads to the receivers that are typed, and shows the effect', async () => {
    const opened = await open()
    await paths(opened, 'L3H1 q, L2 mlp')
    const [request] = asked(opened, 'sweep.paths')
    expect(request).toMatchObject({
      target: { kind: 'grid', component: 'z', by: ['head'] },
      receivers: [{ hook: 'blocks.3.attn.hook_q', head: 1 }, { hook: 'blocks.2.ln2.hook_normalized' }],
      frozen: 'heads-and-mlps',
    })
    expect(opened.view.text()).toContain('16 of 16 places in 0.25 s')
    expect(asked(opened, 'attribution.patching').every(({ sites }) => sites[0] === 'resid_pre')).toBe(true)
    expect(await violations(opened.view.element as Element)).toEqual([])
  })

  it('takes receivers from its map by the keyboard, and drops them again', async () => {
    const opened = await open()
    await paths(opened, 'logits')
    const map = opened.view.get('[aria-label^="Receivers by layer and head"]')
    await map.trigger('focus')
    await map.trigger('keydown', { key: 'Enter' })
    await settle(16)
    expect(asked(opened, 'sweep.paths').at(-1)?.receivers).toHaveLength(2)
    await opened.view.get('[aria-label="Remove logits"]').trigger('click')
    await settle(16)
    expect(asked(opened, 'sweep.paths').at(-1)?.receivers).toHaveLength(1)
  })

  it('says what is wrong with a receiver', async () => {
    const opened = await open()
    await paths(opened, 'L9')
    expect(opened.view.text()).toContain('the model has 4 layers')
    expect(asked(opened, 'sweep.paths')).toEqual([])
  })

  it('freezes heads alone where asked, and copies all of it', async () => {
    const opened = await open()
    await paths(opened, 'logits')
    await choose(opened, 'What stays as it is on the way', 'heads')
    await button(opened, 'Copy as').trigger('keydown', { key: 'Enter' })
    await settle()
    const [request] = Array.from(document.querySelectorAll<HTMLElement>('[role="menuitem"]'))
    request.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
    await settle()
    expect(JSON.parse(opened.shell.clipboard[0])).toMatchObject({
      receivers: [{ hook: 'blocks.3.hook_resid_post' }],
    })
  })
})

describe('scrubbing in the view', () => {
  withLayout()
  const { open } = patchView()

  async function scrub(opened: MountedView): Promise<void> {
    await button(opened, 'Scrubbing').trigger('click')
    await new Promise((resolve) => setTimeout(resolve, 300))
    await settle(24)
  }

  it('keeps what is typed, and runs the rest, nothing and it alone', async () => {
    const opened = await open()
    await scrub(opened)
    await writeInto(opened, 'Kept components, typed', 'L3H1, L2 mlp')
    await new Promise((resolve) => setTimeout(resolve, 300))
    await settle(24)
    const last = asked(opened, 'sweep.scrub').at(-1)
    expect(last).toMatchObject({ direction: 'noising', components: ['z', 'mlp_out'], draws: 1 })
    expect(last?.keep.map(({ length }) => length)).toEqual([2, 18, 0])
    expect(last?.keep[0]).toEqual([
      { hook: 'blocks.2.hook_mlp_out' },
      { hook: 'blocks.3.attn.hook_z', head: 1 },
    ])
    const table = opened.view.get('[aria-label="Sets and their metric"]')
    expect(table.findAll('tbody tr').map((row) => row.get('th').text())).toEqual([
      'kept only',
      'all but kept',
      'nothing kept',
    ])
    expect(await violations(opened.view.element as Element)).toEqual([])
  })

  it('keeps components by their effect alone, by a click, all or none', async () => {
    const opened = await open()
    await scrub(opened)
    const subtitle = () => opened.view.text()
    await button(opened, 'Keep those above').trigger('click')
    await settle()
    expect(subtitle()).toContain('20 of 20')
    await button(opened, 'None').trigger('click')
    const map = opened.view.get('[aria-label^="Components by layer"]')
    await map.trigger('focus')
    await map.trigger('keydown', { key: 'Enter' })
    await settle()
    expect(subtitle()).toContain('1 of 20')
  })

  it('draws several times where rows are drawn, and saves every draw', async () => {
    const opened = await open()
    await choose(opened, 'Source', 'resample')
    await scrub(opened)
    expect(asked(opened, 'sweep.scrub').at(-1)).toMatchObject({ draws: 8, source: { kind: 'resample' } })
    await opened.view.get('[aria-label="Export What is left"]').trigger('keydown', { key: 'Enter' })
    await settle()
    Array.from(document.querySelectorAll<HTMLElement>('[role="menuitem"]'))
      .find(({ textContent }) => textContent?.includes('CSV'))
      ?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
    await settle()
    const text = new TextDecoder().decode(opened.shell.saved[0].bytes)
    expect(text.trim().split('\n')).toHaveLength(1 + 2 + 3 * 8)
  })
})

describe('features of a dictionary in the view', () => {
  withLayout()
  const { open } = patchView()

  it('are swept over positions, once a dictionary is chosen', async () => {
    const opened = await open()
    await choose(opened, 'Component', 'Features of a dictionary')
    expect(opened.view.text()).toContain('Choose the dictionary whose features are patched.')
    opened.shell.chosen = '/dictionaries/layer-2'
    await button(opened, 'Choose a dictionary…').trigger('click')
    await settle(24)
    const last = asked(opened, 'sweep.run')
      .filter(({ target }) => target.kind === 'features')
      .at(-1)
    expect(last?.target).toMatchObject({
      dictionary: '/dictionaries/layer-2',
      by: ['position'],
      top: 32,
      most: 'different',
    })
    expect(button(opened, 'layer-2').attributes('title')).toBe('/dictionaries/layer-2')
    await opened.view.get('[aria-label="Places by effect"] tbody button').trigger('click')
    await settle(16)
    expect(asked(opened, 'sweep.site').at(-1)?.target.kind).toBe('features')
  })
})
