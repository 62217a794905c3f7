import { flushPromises, mount } from '@vue/test-utils'
import type { VueWrapper } from '@vue/test-utils'
import { TooltipProvider } from 'reka-ui'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { h } from 'vue'
import { PatchbayError } from '../../preload/errors'
import { useInspector } from '../../renderer/stores/inspector'
import { useModels } from '../../renderer/stores/models'
import { usePrompt } from '../../renderer/stores/prompt'
import { useSelection } from '../../renderer/stores/selection'
import { attentionLines, faintest, linePath, mostLines } from '../../renderer/views/prompt/attention-lines'
import { headsOf, sortedHeads } from '../../renderer/views/prompt/heads'
import PromptView from '../../renderer/views/prompt/PromptView.vue'
import { overviewOf } from './support/fake-model'
import { setUp } from './support/setup'

let wrapper: VueWrapper | null = null
beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  wrapper?.unmount()
  wrapper = null
  document.body.innerHTML = ''
  vi.useRealTimers()
})

/** Lets the pause of the selection pass and everything be answered. */
const settle = async () => {
  for (let i = 0; i < 3; i++) {
    await flushPromises()
    await vi.advanceTimersByTimeAsync(70)
  }
}
async function show(text: string) {
  const world = setUp()
  const view = mount(
    { render: () => h(TooltipProvider, () => h(PromptView)) },
    { global: { plugins: [world.pinia] }, attachTo: document.body },
  )
  wrapper = view
  await useModels().open({ location: { kind: 'embedded' } })
  const selection = useSelection()
  selection.reset({ layers: 4, heads: 4, positions: 1 })
  await write(text)
  return { ...world, view, selection }
}
async function write(text: string) {
  const prompt = usePrompt()
  prompt.drafts.A.text = text
  await prompt.encode('A')
  useSelection().resize(prompt.slots.A.tokens?.length ?? 1)
  await settle()
}
const grid = (view: VueWrapper) => view.get('[aria-roledescription="heatmap"]')
const panel = (view: VueWrapper, title: string) =>
  view.findAll('section').find((section) => section.get('h2').text().startsWith(title)) ??
  expect.fail(`no panel ${title}`)

describe('the prompt view', () => {
  it('asks for lens, heads, and everything at the last position behind the last block', async () => {
    const { engine } = await show('Mary and John')
    expect(engine.last('lens.cell').input).toMatchObject({ point: 4, position: 2, count: 10 })
    expect(engine.last('logits.next').input).toMatchObject({ position: 2 })
    expect(engine.last('attention.layer').input).toMatchObject({ layer: 3 })
    expect(new Set(engine.names())).toContain('attention.overview')
  })

  it('moves the selection by arrow keys on the lens and asks once, when it rests', async () => {
    const { engine, view, selection } = await show('Mary and John went')
    const before = engine.names().filter((name) => name === 'lens.cell').length
    for (const key of ['ArrowLeft', 'ArrowLeft', 'ArrowDown']) await grid(view).trigger('keydown', { key })
    expect(selection.current).toEqual({ layer: 2, head: 0, position: 1, point: 3 })
    await settle()
    expect(engine.last('lens.cell').input).toMatchObject({ point: 3, position: 1 })
    expect(engine.names().filter((name) => name === 'lens.cell')).toHaveLength(before + 1)
  })

  it('reports the first lens to the shell once, as text', async () => {
    const { shell } = await show('Mary and John')
    await write('Mary and John went')
    expect(shell.lenses).toHaveLength(1)
    expect(shell.lenses[0]).toContain('·John')
  })

  it('keeps the old lens, dimmed and with its own labels, while a new prompt is computed', async () => {
    const { engine, view } = await show('Mary and John')
    engine.held.add('lens.map')
    await write('Mary and John went to')
    const lens = panel(view, 'Logit lens')
    expect(lens.find('.body.stale').exists()).toBe(true)
    expect(grid(view).attributes('aria-label')).toContain('by 3 positions')
    expect(useInspector().subject?.rows).toContainEqual({ label: 'Position', value: '2 of 3' })
    await engine.release('lens.map')
    await settle()
    expect(lens.find('.body.stale').exists()).toBe(false)
    expect(grid(view).attributes('aria-label')).toContain('by 5 positions')
    expect(useInspector().subject?.rows).toContainEqual({ label: 'Position', value: '4 of 5' })
  })

  it('labels an old lens by its own tokens, not by those of the prompt that is being computed', async () => {
    const { engine, view, selection } = await show('Mary and John')
    selection.select({ position: 0 })
    await settle()
    const spoken = () => view.get('.lens [aria-live]').text()
    expect(spoken()).toContain('position 0 Mary')
    engine.held.add('lens.map')
    await write('John gave a drink')
    expect(spoken()).toContain('position 0 Mary')
    await engine.release('lens.map')
    await settle()
    expect(spoken()).toContain('position 0 John')
  })

  it('shows progress in place of a lens that is not there yet', async () => {
    const world = setUp()
    world.engine.held.add('lens.map')
    wrapper = mount(
      { render: () => h(TooltipProvider, () => h(PromptView)) },
      { global: { plugins: [world.pinia] }, attachTo: document.body },
    )
    await useModels().open({ location: { kind: 'embedded' } })
    await write('Mary and John')
    world.engine.say({ type: 'progress', id: world.engine.last('lens.map').id, value: { done: 2, total: 4 } })
    await flushPromises()
    const bar = panel(wrapper, 'Logit lens').get('[role=progressbar]')
    expect(bar.attributes('aria-valuenow')).toBe('50')
  })

  it('shows an error in the panel it belongs to, and tries again when asked', async () => {
    const world = await show('Mary and John')
    const healthy = world.engine.handlers['lens.map']
    world.engine.handlers['lens.map'] = () => {
      throw new PatchbayError('memory.exhausted', 'The lens does not fit into memory.', {
        next: 'Shorten the prompt.',
      })
    }
    await write('Mary and John went')
    const lens = panel(world.view, 'Logit lens')
    expect(lens.get('[role=alert]').text()).toContain('Shorten the prompt.')
    expect(panel(world.view, 'Top 10').find('[role=alert]').exists()).toBe(false)
    world.engine.handlers['lens.map'] = healthy
    await lens.get('[role=alert] button').trigger('click')
    await settle()
    expect(lens.find('[role=alert]').exists()).toBe(false)
  })

  it('shows the pinned cell beside the selected one', async () => {
    const { engine, view, selection } = await show('Mary and John')
    selection.togglePin()
    selection.select({ position: 0 })
    await settle()
    const lists = panel(view, 'Top 10').findAll('ol')
    expect(lists).toHaveLength(2)
    expect(panel(view, 'Top 10').text()).toContain('Pinned: block 3 · position 2')
    const cells = engine.seen.filter(({ call }) => call === 'lens.cell').map(({ input }) => input)
    expect(cells).toContainEqual(expect.objectContaining({ point: 4, position: 2 }))
    expect(cells).toContainEqual(expect.objectContaining({ point: 4, position: 0 }))
  })

  it('opens a head by click and explains it in the inspector', async () => {
    const { engine, view, selection } = await show('Mary and John')
    const heads = view.get('[aria-label="Attention heads"]')
    expect(heads.findAll('[role=option]')).toHaveLength(16)
    await heads.findAll('[role=option]')[6].trigger('click')
    await settle()
    expect(selection.current).toMatchObject({ layer: 1, head: 2, point: 2 })
    expect(engine.last('attention.layer').input).toMatchObject({ layer: 1 })
    expect(useInspector().subject).toMatchObject({
      title: 'Layer 1 · head 2',
      hook: 'blocks.1.attn.hook_pattern',
    })
    await heads.trigger('keydown', { key: 'ArrowRight' })
    expect(selection.current).toMatchObject({ layer: 1, head: 3 })
  })

  it('offers in the inspector to export the lens or the head that is explained', async () => {
    const { view } = await show('Mary and John')
    const offered = () => useInspector().subject?.exports?.map(({ label }) => label)
    expect(offered()).toEqual(['PNG picture', 'SVG drawing', 'CSV table'])
    await view.get('[aria-label="Attention heads"]').findAll('[role=option]')[6].trigger('click')
    await settle()
    expect(offered()).toContain('Lines as SVG drawing')
    expect(offered()).toContain('Matrix as CSV table')
  })

  it('leaves only the selected query’s lines while one walks with the arrow keys, and shows all again by Escape', async () => {
    const { view, selection } = await show('Mary and John went to the store')
    const list = view.get('[role=listbox][aria-label$="query tokens"]')
    const queries = () => list.findAll('path').length
    const all = queries()
    await list.trigger('keydown', { key: 'Home' })
    expect(selection.current.position).toBe(0)
    expect(queries()).toBe(1)
    await list.trigger('keydown', { key: 'Escape' })
    expect(queries()).toBe(all)
    await list.trigger('keydown', { key: 'ArrowDown' })
    expect(queries()).toBeLessThan(all)
    await list.trigger('blur')
    expect(queries()).toBe(all)
  })

  it('never asks about a position that a shorter prompt does not have', async () => {
    const { engine } = await show('Mary and John went to the store')
    await write('Mary')
    for (const { call, input } of engine.seen) {
      if (call !== 'lens.cell' && call !== 'logits.next') continue
      const { position, tokens } = input as { position: number; tokens: number[] }
      expect(position).toBeLessThan(tokens.length)
    }
  })

  it('shows hostile tokens as text in every list', async () => {
    const { view } = await show('<img/src=x/onerror=alert(1)> <b>bold</b> {a|b}')
    expect(view.findAll('img, b, script')).toHaveLength(0)
    expect(view.text()).toContain('<b>bold</b>')
  })

  it('says that there is no prompt when it is empty', async () => {
    const { view } = await show('Mary')
    await write('')
    expect(view.text()).toContain('There is no prompt to look into')
  })
})

describe('heads', () => {
  it('are sorted by what they are marked with, highest first', () => {
    const overview = overviewOf([1, 2, 3, 4, 5], 24)
    const heads = headsOf(overview, 'first')
    expect(heads).toHaveLength(16)
    expect(heads[5]).toMatchObject({ layer: 1, head: 1, value: overview.toFirst.data[5] })
    const values = sortedHeads(heads).map(({ value }) => value)
    expect(values).toEqual([...values].sort((a, b) => b - a))
  })

  it('mark entropy relative to the highest', () => {
    const shares = headsOf(overviewOf([1, 2, 3, 4, 5], 24), 'entropy').map(({ share }) => share)
    expect(Math.max(...shares)).toBeCloseTo(1, 6)
  })
})

describe('attention lines', () => {
  const pattern = new Float32Array([1, 0, 0, 0.7, 0.3, 0, 0.5, 0.495, 0.005])

  it('go from each query to the keys it reads, the strongest last', () => {
    const lines = attentionLines(pattern, 3, { first: 0, last: 2, only: null })
    expect(lines.map(({ query, key }) => [query, key])).toEqual([
      [1, 1],
      [2, 1],
      [2, 0],
      [1, 0],
      [0, 0],
    ])
    expect(lines.every(({ weight }) => weight >= faintest)).toBe(true)
  })

  it('of one query show also what is faint', () => {
    expect(attentionLines(pattern, 3, { first: 0, last: 2, only: 2 })).toHaveLength(3)
  })

  it('are never more than can be drawn, for the longest prompt', () => {
    const n = 512
    const even = Float32Array.from({ length: n * n }, () => 0.03)
    expect(attentionLines(even, n, { first: 0, last: n - 1, only: null })).toHaveLength(mostLines)
  })

  it('run from the middle of one row to the middle of the other', () => {
    expect(linePath({ query: 2, key: 0, weight: 1 }, 20, 100)).toBe('M0 50C50 50 50 10 100 10')
  })
})
