import { afterEach, describe, expect, it, vi } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import type { AlignedPair } from '../../../preload/views'
import { alignedKind } from '../../../renderer/components/aligned-kind'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useSelection } from '../../../renderer/stores/selection'
import {
  minus,
  onPairs,
  pairAt,
  pairLabels,
  squareOnPairs,
  summary,
} from '../../../renderer/views/compare/alignment'
import CompareView from '../../../renderer/views/compare/CompareView.vue'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { syntheticEngine } from '../support/synthetic-engine'

/** a b c against a x c d: b became x, d is only right. */
const pairs: AlignedPair[] = [
  { left: 0, right: 0, same: true },
  { left: 1, right: 1, same: false },
  { left: 2, right: 2, same: true },
  { left: null, right: 3, same: false },
]

describe('an alignment', () => {
  it('says what each pair is, and how many there are of each', () => {
    expect(pairs.map(alignedKind)).toEqual(['same', 'changed', 'same', 'only-right'])
    expect(alignedKind({ left: 1, right: null, same: false })).toBe('only-left')
    expect(summary(pairs)).toBe('2 the same, 1 changed, 1 only right')
  })

  it('puts both sides on one axis, with gaps where a side has no token', () => {
    expect(Array.from(onPairs([1, 2, 3, 4, 5, 6], 2, 3, pairs, 'left'))).toEqual([1, 2, 3, NaN, 4, 5, 6, NaN])
    expect(pairLabels(pairs, ['a', 'b', 'c'], ['a', 'x', 'c', 'd'], 'left')).toEqual([
      '0 a',
      '1 b',
      '2 c',
      '–',
    ])
    expect(pairLabels(pairs, ['a', 'b', 'c'], ['a', 'x', 'c', 'd'], 'both')).toEqual([
      'a',
      'b → x',
      'c',
      '– → d',
    ])
  })

  it('puts attention on both axes, with gaps in rows and columns', () => {
    const pattern = [1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5]
    const square = squareOnPairs(pattern, 3, pairs, 'left')
    expect(Array.from(square.subarray(8, 12))).toEqual([0.2, 0.3, 0.5, NaN].map(Math.fround))
    expect(square.subarray(12).every(Number.isNaN)).toBe(true)
  })

  it('gives no difference where a side is missing', () => {
    expect(Array.from(minus(Float32Array.of(1, NaN), Float32Array.of(0.5, 2)))).toEqual([0.5, NaN])
  })

  it('finds the pair of a position', () => {
    expect(pairAt(pairs, 'right', 3)).toBe(3)
    expect(pairAt(pairs, 'left', 9)).toBe(0)
  })
})

describe('the compare view', () => {
  withLayout()
  let mounted: MountedView | null = null
  afterEach(() => {
    mounted?.view.unmount()
    mounted = null
  })
  const right = 'When Mary and John went to the old park , Mary gave a drink to'
  async function open(engine = syntheticEngine(), prompt = right): Promise<MountedView> {
    mounted = await mountView(CompareView, engine)
    usePrompt().drafts.B.text = prompt
    if (prompt === '') usePrompt().slots.B.tokens = null
    else await usePrompt().encode('B')
    await settle()
    return mounted
  }
  const button = ({ view }: MountedView, text: string) => {
    const found = view.findAll('button').find((candidate) => candidate.text() === text)
    if (found === undefined) throw new Error(`no button ${text}`)
    return found
  }
  const tab = async ({ view }: MountedView, text: string) => {
    await view
      .findAll('[role=tab]')
      .filter((candidate) => candidate.text() === text)[0]
      .trigger('mousedown')
    await settle()
  }
  const titles = ({ view }: MountedView) => view.findAll('h2').map((heading) => heading.text())

  const shows = (opened: MountedView, expected: readonly string[]) =>
    vi.waitFor(() => expect(titles(opened)).toEqual(expected))

  it('offers to copy the left prompt while the right one is empty, and compares when there are two', async () => {
    const opened = await open(undefined, '')
    expect(opened.view.text()).toContain('The right prompt is empty')
    await opened.view.get('.button.primary').trigger('click')
    await settle()
    expect(usePrompt().drafts.B.text).toBe(usePrompt().drafts.A.text)
    expect(opened.view.text()).toContain('15 and 15 tokens: 15 the same')
  })

  it('shows which tokens are paired, changed and alone', async () => {
    const { view } = await open()
    expect(view.text()).toContain('15 and 16 tokens: 12 the same, 3 changed, 1 only right')
    const columns = view.findAll('[role=option]')
    expect(
      columns.map((column) =>
        column.classes().find((name) => ['same', 'changed', 'only-right'].includes(name)),
      ),
    ).toEqual([
      ...Array<string>(8).fill('same'),
      ...Array<string>(3).fill('changed'),
      'only-right',
      ...Array<string>(4).fill('same'),
    ])
    expect(columns[8].attributes('title')).toBe('8 ·store | 8 ·old: another token')
    expect(columns[11].find('.left.gap').exists()).toBe(true)
  })

  it('shares its selection with the other views, and selects what only the right prompt has', async () => {
    const { view } = await open()
    await view.findAll('[role=option]')[3].trigger('click')
    expect(useSelection().current.position).toBe(3)
    await view.findAll('[role=option]')[11].trigger('click')
    expect(useSelection().current.position).toBe(3)
    expect(view.findAll('[role=option]')[11].attributes('aria-selected')).toBe('true')
    await view.get('[role=listbox]').trigger('keydown', { key: 'ArrowRight' })
    expect(useSelection().current.position).toBe(11)
  })

  it('has left, difference and right of lens, norms, attention and next tokens, and one cosine', async () => {
    const opened = await open()
    await shows(opened, ['Left lens', 'Difference', 'Right lens'])
    await tab(opened, 'Residual stream')
    await shows(opened, ['Left norms', 'Difference', 'Right norms', 'Cosine'])
    await tab(opened, 'Attention')
    await shows(opened, ['Left L3 H0', 'Difference', 'Right L3 H0'])
    await tab(opened, 'Next tokens')
    await shows(opened, ['Left', 'Difference', 'Right', 'Top movers'])
  })

  it('asks for the attention of the selected layer only, and shows the selected head', async () => {
    const opened = await open()
    await tab(opened, 'Attention')
    const layers = () =>
      opened.engine.made
        .filter(({ name }) => name === 'compare.attention')
        .map(({ input }) => (input as { layer: number }).layer)
    await vi.waitFor(() => expect(layers()).toHaveLength(1))
    const [first] = layers()
    useSelection().select({ layer: 1, head: 2 })
    await vi.waitFor(() => expect(layers()).toEqual([first, 1]))
    await vi.waitFor(() => expect(titles(opened)[0]).toBe('Left L1 H2'))
  })

  it('lists the top movers with both probabilities, hostile tokens as text', async () => {
    const opened = await open()
    await tab(opened, 'Next tokens')
    const rows = opened.view.findAll('tbody tr')
    expect(rows).toHaveLength(12)
    expect(rows[0].text()).toContain('<img·src=x·onerror=alert(1)>')
    expect(opened.view.find('img').exists()).toBe(false)
    expect(rows[0].text()).toMatch(/\d+\.\d %.*\d+\.\d %/)
  })

  it('swaps the prompts', async () => {
    const opened = await open()
    const left = usePrompt().drafts.A.text
    await button(opened, 'Swap left and right').trigger('click')
    await settle()
    expect([usePrompt().drafts.A.text, usePrompt().drafts.B.text]).toEqual([right, left])
    expect(opened.view.text()).toContain('16 and 15 tokens')
  })

  it('says what went wrong and tries again', async () => {
    let failures = 1
    const answer = syntheticEngine().answers['compare.prompts']
    const opened = await open(
      syntheticEngine({
        'compare.prompts': (input, context) => {
          if (failures-- > 0 || answer === undefined)
            throw new PatchbayError('run.failed', 'The run failed at block 2.')
          return answer(input, context)
        },
      }),
    )
    expect(opened.view.get('[role=alert]').text()).toContain('The run failed at block 2.')
    await button(opened, 'Try again').trigger('click')
    await settle()
    expect(titles(opened)).toContain('Left lens')
  })

  it('is accessible in all tabs', async () => {
    const opened = await open()
    for (const name of ['Logit lens', 'Residual stream', 'Attention', 'Next tokens']) {
      await tab(opened, name)
      expect(await violations()).toEqual([])
    }
  })
})
