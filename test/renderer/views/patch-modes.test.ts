import { describe, expect, it } from 'vitest'
import { encodeNpy } from '../../../preload/npy'
import { tensorsOfFile } from '../../../renderer/files/tensor-file'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useView } from '../../../renderer/stores/view'
import { mostEffective } from '../../../renderer/views/patch/neuron-target'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { collectionAnswers, syntheticCollection } from '../support/synthetic-collections'
import type { Answers } from '../support/synthetic-engine'
import { syntheticIds, syntheticModel, syntheticToken } from '../support/synthetic-model'
import { settle, type MountedView } from '../support/mount-view'
import { asked, button, choose, patchView, sweeps, writeInto } from '../support/patch-view'

/** Chooses from the menu of what can be copied. */
async function copyAs(opened: MountedView, item: string): Promise<void> {
  await button(opened, 'Copy as').trigger('keydown', { key: 'Enter' })
  await settle()
  const items = Array.from(document.querySelectorAll<HTMLElement>('[role="menuitem"]'))
  const found = items.find(({ textContent }) => textContent?.trim().startsWith(item))
  if (found === undefined) throw new Error(`no item ${item}`)
  found.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
  await settle()
}

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
    expect(opened.view.text()).toContain('Open a tensor, or take one of a preset or a collection.')
    const data = new Float32Array(128).fill(1)
    opened.shell.toOpen = { name: 'v.npy', bytes: encodeNpy({ type: 'float32', shape: [128], data }) }
    await button(opened, 'Open a tensor…').trigger('click')
    await settle(24)
    const { source, tensors } = sweeps(opened).at(-1) ?? {}
    const names = source?.kind === 'tensor' ? Object.values(source.tensors) : []
    expect(new Set(names).size).toBe(1)
    expect(names).toHaveLength(4)
    expect(tensors?.[names[0]].data).toEqual(data)
    await copyAs(opened, 'Command line')
    expect(opened.shell.clipboard.at(-1)).toContain('--tensors patching-tensors.safetensors')
    await copyAs(opened, 'Save patching-tensors.safetensors')
    const [saved] = opened.shell.saved
    expect(saved.suggestedName).toBe('patching-tensors.safetensors')
    expect(tensorsOfFile('saved.safetensors', saved.bytes)).toEqual(tensors)
    opened.shell.toOpen = { name: 'v.npy', bytes: Uint8Array.of(1, 2, 3) }
    await button(opened, 'Open a tensor…').trigger('click')
    await settle(16)
    expect(sweeps(opened).at(-1)?.source).toEqual(source)
  })
})

describe('what a collection keeps, as a source', () => {
  withLayout()
  const { open } = patchView()
  const model = syntheticModel()
  const made = syntheticCollection(model, 9)

  /** Of row r at position p everything is 100 · r + p. */
  const kept: Answers = {
    ...collectionAnswers([
      made,
      syntheticCollection(model, 3, { id: 'other-0', fingerprint: 'cd'.repeat(32) }),
    ]),
    'collections.tokens': ({ id, row, output }) => {
      const tokens = syntheticIds(made.rows[row].text).map(syntheticToken)
      const at = (i: number): number => 100 * row + Math.floor(i / model.dModel)
      return {
        tokens,
        positions: Int32Array.from(tokens.keys()),
        norms: new Float32Array(tokens.length),
        values: {
          shape: [tokens.length, model.dModel],
          data: Float32Array.from({ length: tokens.length * model.dModel }, (_, i) => at(i)),
        },
        dims: id === made.collection.id && output.includes('resid_post') ? ['pos', 'd_model'] : [],
      }
    },
  }
  const lastTensors = (opened: MountedView) => Object.values(sweeps(opened).at(-1)?.tensors ?? {})

  it('is a position of a row, their mean, or each at its place, at every layer that is kept', async () => {
    const opened = await open(kept)
    await choose(opened, 'Component', 'Residual stream, after')
    await choose(opened, 'Source', 'stored tensor')
    await button(opened, 'A collection').trigger('click')
    await choose(opened, 'Collection whose activation is put in', 'Reviews')
    const rows = syntheticIds(made.rows[1].text).length
    const row = opened.view.get<HTMLInputElement>('.kept input[type="number"]')
    await row.setValue('1')
    await row.trigger('change')
    await settle(24)
    expect(lastTensors(opened)).toHaveLength(model.layers)
    expect(lastTensors(opened)[0].shape).toEqual([model.dModel])
    expect(lastTensors(opened)[0].data[0]).toBe(100 + rows - 1)
    expect(opened.view.text()).toContain('Reviews row 1, last position')
    await choose(opened, 'Positions of the row', 'mean')
    await settle(24)
    expect(lastTensors(opened)[0].data[0]).toBe(100 + (rows - 1) / 2)
    await choose(opened, 'Positions of the row', 'each')
    await settle(24)
    // The row is shorter than what is run.
    expect(opened.view.text()).toMatch(/Reviews row 1 has \d+ positions, what is run has \d+/)
  })

  it('says where it keeps nothing of the component', async () => {
    const opened = await open(kept)
    await choose(opened, 'Source', 'stored tensor')
    await button(opened, 'A collection').trigger('click')
    await choose(opened, 'Collection whose activation is put in', 'Reviews')
    await settle(24)
    expect(opened.view.text()).toContain('Reviews keeps nothing of this component.')
  })

  it('is the token of the row that is clicked', async () => {
    const opened = await open(kept)
    await choose(opened, 'Component', 'Residual stream, after')
    await choose(opened, 'Source', 'stored tensor')
    await button(opened, 'A collection').trigger('click')
    await choose(opened, 'Collection whose activation is put in', 'Reviews')
    await settle(24)
    const strip = opened.view.get('[aria-label^="Tokens of the row"]')
    expect(strip.findAll('[role="option"]').at(-1)?.attributes('aria-selected')).toBe('true')
    await strip.findAll('[role="option"]')[1].trigger('click')
    await settle(24)
    expect(lastTensors(opened)[0].data[0]).toBe(1)
    expect(await violations(opened.view.get('.choice').element)).toEqual([])
  })

  it('is made in Data where nothing is kept of this model yet', async () => {
    const opened = await open({ ...kept, 'collections.list': () => [] })
    await choose(opened, 'Source', 'stored tensor')
    await button(opened, 'A collection').trigger('click')
    expect(opened.view.text()).toContain('Nothing is kept of this model yet.')
    await button(opened, 'Open Data').trigger('click')
    expect(useView().current).toBe('data')
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

  it('looks closer at a sender: what its receivers heard, put there', async () => {
    const opened = await open()
    await paths(opened, 'L3H1 q')
    const map = opened.view.get('[aria-label^="Patching"][role="application"]')
    await map.trigger('focus')
    await map.trigger('keydown', { key: 'ArrowRight' })
    await map.trigger('keydown', { key: 'Enter' })
    await settle(24)
    expect(asked(opened, 'sweep.site').at(-1)).toMatchObject({
      receivers: [{ hook: 'blocks.3.attn.hook_q', head: 1 }],
      frozen: 'heads-and-mlps',
      pair: 0,
    })
    expect(asked(opened, 'run.execute').at(-1)?.request.rows).toHaveLength(2)
    expect(opened.view.find('[aria-label^="Next-token probabilities"]').exists()).toBe(true)
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
    await copyAs(opened, 'Request')
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

describe('single neurons in the view', () => {
  withLayout()
  const { open } = patchView()
  const effects = [
    { layer: 0, neuron: 4, effect: -0.75 },
    { layer: 1, neuron: 9, effect: 0.5 },
    { layer: 1, neuron: 2, effect: 0.25 },
  ]
  const places = (opened: MountedView) =>
    asked(opened, 'sweep.run')
      .flatMap(({ target }) => (target.kind === 'sites' && target.sites[0].units ? [target.sites] : []))
      .at(-1) ?? []

  it('are those of the largest effect by attribution, each swept over positions or at all of them', async () => {
    const opened = await open()
    await choose(opened, 'Component', 'Neurons')
    expect(asked(opened, 'attribution.patching').at(-1)).toMatchObject({ sites: ['neurons'] })
    const positions = usePrompt().slots.B.tokens?.length ?? 0
    expect(places(opened)).toHaveLength(3 * positions)
    expect(places(opened)[1]).toEqual({ hook: 'blocks.0.mlp.hook_post', units: [4], positions: [1] })
    await choose(opened, 'Grid of the neurons', 'all positions')
    await choose(opened, 'Layer of the neurons', 'layer 1')
    expect(places(opened)).toEqual([9, 2].map((unit) => ({ hook: 'blocks.1.mlp.hook_post', units: [unit] })))
    expect(opened.view.get('[aria-label="Places by effect"]').text()).toContain('L1 N9')
    await opened.view.get('[aria-label="Places by effect"] tbody button').trigger('click')
    await settle(16)
    expect(asked(opened, 'sweep.site').at(-1)?.target).toMatchObject({ kind: 'sites' })
    expect(opened.view.text()).toContain('neuron')
  })

  it('need a metric that attribution knows, and say where none of a layer matters', async () => {
    const opened = await open()
    await choose(opened, 'Component', 'Neurons')
    await choose(opened, 'Layer of the neurons', 'layer 3')
    expect(opened.view.text()).toContain('Attribution finds no neuron with an effect here.')
    await choose(opened, 'Metric', 'Probability')
    expect(opened.view.text()).toContain('Neurons are chosen by attribution')
  })

  it('are the mean over pairs, of which a list may hold others', () => {
    const other = [
      { layer: 1, neuron: 9, effect: -0.5 },
      { layer: 2, neuron: 1, effect: 1.6 },
    ]
    expect(mostEffective([effects, other], null, 2)).toEqual([
      { layer: 2, neuron: 1, effect: 0.8 },
      { layer: 0, neuron: 4, effect: -0.375 },
    ])
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
