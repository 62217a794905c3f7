import { describe, expect, it } from 'vitest'
import { usePrompt } from '../../../renderer/stores/prompt'
import { meanEffect } from '../../../renderer/views/patch/estimate'
import { violations } from '../support/accessible'
import { encodeByWords } from '../support/encode-by-words'
import { withLayout } from '../support/layout'
import { settle, type MountedView } from '../support/mount-view'
import { asked, button, choose, patchView, sweeps, writeInto } from '../support/patch-view'

/** Until the pause in typing is over. */
const typed = () => new Promise((resolve) => setTimeout(resolve, 400)).then(() => settle(16))

describe('an estimate over pairs', () => {
  it('is the mean of theirs, and none where their shapes differ', () => {
    const map = (...values: number[]) => ({ shape: [1, values.length], data: Float32Array.from(values) })
    expect([...(meanEffect([map(1, 2), map(3, NaN)])?.data ?? [])]).toEqual([2, NaN])
    expect(meanEffect([map(1), map(1, 2)])).toBeNull()
    expect(meanEffect([])).toBeNull()
  })
})

describe('several pairs', () => {
  withLayout()
  const { open } = patchView()
  const words = { 'prompt.encode': encodeByWords }

  /** The list stands open: its line alone is above the map until then. */
  async function openPairs(...given: Parameters<typeof open>): Promise<MountedView> {
    const opened = await open(...given)
    await button(opened, 'Edit pairs').trigger('click')
    return opened
  }
  async function paste(opened: MountedView, text: string): Promise<void> {
    await button(opened, 'Paste…').trigger('click')
    await writeInto(opened, 'Pairs, pasted', text)
    await settle(24)
  }
  const second =
    'When Tom and Ann went to the park , Ann gave a ball to\nWhen Tom and Ann went to the park , Tom gave a ball to'

  it('are swept together, each with metric tokens of its own', async () => {
    const opened = await openPairs()
    await button(opened, 'Add swapped').trigger('click')
    await settle(24)
    const [first, other] = sweeps(opened).at(-1)?.pairs ?? []
    expect(other.clean).toEqual(first.corrupt)
    expect(other.corrupt).toEqual(first.clean)
    expect(first.metrics).toHaveLength(1)
    expect(other.metrics).toHaveLength(1)
    expect(opened.view.text()).toContain('means over 2 pairs')
    expect(await violations(opened.view.get('ol.list').element)).toEqual([])
    // Closed again, one line says what is averaged.
    await button(opened, 'Edit pairs').trigger('click')
    expect(opened.view.find('ol.list').exists()).toBe(false)
    expect(opened.view.get('.fold .subtitle').text()).toBe('means over 2')
  })

  it('are estimated pair by pair', async () => {
    const opened = await openPairs()
    await button(opened, 'Add swapped').trigger('click')
    await settle(24)
    const estimated = asked(opened, 'attribution.patching').slice(-1)
    expect(estimated[0].clean).toEqual(usePrompt().slots.B.tokens)
    expect(sweeps(opened).at(-1)?.order).toBeDefined()
  })

  it('have the answers that a file names, and say where one is no token', async () => {
    const opened = await openPairs(words, 'When Mary and John went to the store , Mary gave a drink to')
    await usePrompt().encode('A')
    await settle(16)
    await paste(
      opened,
      '{"clean": "a b c", "corrupt": "a d c", "answer": "Zed"}\n{"clean": "a b", "corrupt": "a d", "answer": "two parts"}',
    )
    const rows = opened.view.findAll('.pair .tokens').map((row) => row.text())
    expect(rows[1]).toContain('chosen')
    expect(opened.view.text()).toContain('is 2 tokens of this model, not one')
  })

  it('can be chosen for a closer look, which runs that pair', async () => {
    const opened = await openPairs()
    await button(opened, 'Add swapped').trigger('click')
    await settle(24)
    await opened.view.get('[aria-label="Look closer at pair 2"]').trigger('click')
    await settle(16)
    await opened.view.get('[aria-label="Places by effect"] tbody button').trigger('click')
    await settle(16)
    expect(asked(opened, 'sweep.site').at(-1)?.pair).toBe(1)
    expect(opened.view.text()).toContain('pair 2')
    // Its own tokens can be chosen below its tokens.
    await opened.view.findAll('.detail .tokens .name')[2].trigger('click')
    await settle(24)
    const metrics = sweeps(opened).at(-1)?.pairs[1].metrics
    expect(metrics).toEqual([expect.objectContaining({ kind: 'logit-difference', positive: [6] })])
  })

  it('are left out where something is missing, and say what', async () => {
    const opened = await openPairs()
    await button(opened, 'Add a pair').trigger('click')
    await settle()
    expect(opened.view.text()).toContain('left out: one of its prompts is missing')
    expect(opened.view.text()).toContain('means over 1 of 2')
    await opened.view.get('[aria-label="Remove pair 2"]').trigger('click')
    await settle()
    expect(opened.view.text()).not.toContain('left out')
  })

  it('are suggested their corrupt prompt', async () => {
    const opened = await openPairs(words, 'When Mary and John went to the store , Mary gave a drink to')
    await usePrompt().encode('A')
    await button(opened, 'Add a pair').trigger('click')
    await settle(16)
    await button(opened, 'Suggest').trigger('click')
    await settle(24)
    await typed()
    const field = opened.view.get<HTMLInputElement>('[aria-label="Pair 2, corrupt"]')
    expect(field.element.value).toBe('When Mary and John went to the store , Mary gave a drink to')
    expect(sweeps(opened).at(-1)?.pairs).toHaveLength(2)
  })

  it('have no common positions where their lengths differ, and offer a way out', async () => {
    const opened = await openPairs()
    await paste(opened, 'one two three\none two four')
    expect(opened.view.text()).toContain('The pairs differ in length')
    await button(opened, 'Remove the pairs of another length').trigger('click')
    await settle(16)
    expect(opened.view.text()).not.toContain('The pairs differ in length')
    expect(sweeps(opened).at(-1)?.pairs).toHaveLength(1)
  })

  it('are opened from a file, or refused whole with the line', async () => {
    const opened = await openPairs()
    opened.shell.toOpen = {
      name: 'pairs.csv',
      bytes: new TextEncoder().encode(`clean,corrupt\n"${second.replace('\n', '","')}"`),
    }
    await button(opened, 'Open…').trigger('click')
    await settle(24)
    expect(sweeps(opened).at(-1)?.pairs).toHaveLength(2)
    await paste(opened, '{"clean": 1}')
    expect(opened.view.text()).toContain('line 1: is no pair')
  })
})

describe('noise on embeddings', () => {
  withLayout(2000)
  const { open } = patchView()

  it('makes the corrupt run of the clean prompt, at the tokens that are pressed', async () => {
    const opened = await open()
    expect(opened.view.find('[aria-label="Aligned tokens of the pair"]').exists()).toBe(false)
    await choose(opened, 'What makes the corrupt run', 'noise')
    expect(opened.view.text()).toContain('Click the tokens of the first pair')
    const strip = opened.view.get('[aria-label="Aligned tokens of the pair"]')
    await strip.trigger('keydown', { key: 'Home' })
    await strip.trigger('keydown', { key: 'ArrowRight' })
    await settle()
    await strip.trigger('keydown', { key: 'Enter' })
    await settle(24)
    const [pair] = sweeps(opened).at(-1)?.pairs ?? []
    expect(pair.corrupt).toEqual(pair.clean)
    expect(pair.noise).toEqual({ positions: [1], std: 0.1, seed: 0 })
    expect(opened.view.text()).toContain('Noise at position 1 of the corrupt prompt')
    await strip.trigger('keydown', { key: 'Enter' })
    await settle(16)
    expect(opened.view.text()).toContain('No token has noise yet')
  })
})
