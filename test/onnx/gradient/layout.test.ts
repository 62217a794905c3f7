/** Gradients of what moves, picks and writes elements, against differences; these functions are linear. */
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../../main/onnx/builder'
import { gradients } from '../../../main/onnx/gradient'
import type { Value } from '../../../main/onnx/graph'
import { checkGradients, integers, numbers, run, tensor, type Check, type Fed } from './support'

/** Linear, so any step gives the exact quotient, up to float32's rounding. */
const checkLinear = (check: Check): Promise<void> => checkGradients({ step: 0.5, tolerance: 2e-5, ...check })

const open = { ...numbers([2, 3, 4]), dims: ['batch', 'pos', 4] }

describe('gradients of layout', () => {
  it('Reshape and Unsqueeze, with sizes known only when it runs', async () => {
    await checkLinear({
      feeds: { x: open },
      build: (g, { x }) => [
        g.reshape(x, ['batch*pos', 4]),
        g.op('Reshape', [x, g.integers([0, -1])], {}),
        g.op('Unsqueeze', [x, g.integers([1, -1])], {}),
      ],
    })
  })

  it('Transpose', async () => {
    await checkLinear({
      feeds: { x: numbers([2, 3, 4]) },
      build: (g, { x }) => g.op('Transpose', [x], { perm: [2, 0, 1] }),
    })
  })

  it('Concat of known and unknown sizes, one of them zero', async () => {
    const feeds = { a: open, b: { ...numbers([2, 2, 4], 2), dims: ['batch', 'past', 4] } }
    const join = (g: GraphBuilder, { a, b }: Record<string, Value>): Value =>
      g.op('Concat', [b, a, a], { axis: 1 })
    await checkLinear({ feeds, build: join })
    const empty: Fed = { shape: [2, 0, 4], data: [], dims: ['batch', 'past', 4] }
    await checkLinear({ feeds: { ...feeds, b: empty }, build: join })
    await checkLinear({
      feeds: { a: numbers([2, 3]), b: numbers([2, 2], 2) },
      build: (g, { a, b }) => g.op('Concat', [a, b], { axis: -1 }),
    })
  })

  it('Split, also where a part is not used', async () => {
    const split = (g: GraphBuilder, x: Value): Value[] =>
      g.ops('Split', [x, g.integers([1, 2, 1])], { axis: 2 }, ['a', 'b', 'c'])
    await checkLinear({ feeds: { x: open }, build: (g, { x }) => split(g, x) })
    await checkLinear({ feeds: { x: open }, build: (g, { x }) => [split(g, x)[1]] })
  })

  it('Expand, whatever it turns out to repeat', async () => {
    for (const shape of [
      [1, 3, 1],
      [2, 1, 4],
      [2, 3, 4],
    ])
      await checkLinear({
        feeds: { x: { ...numbers(shape), dims: ['?0', '?1', '?2'] }, like: open },
        targets: ['x'],
        build: (g, { x, like }) => g.op('Expand', [x, g.op('Shape', [like], {})], {}),
      })
  })
})

describe('the gradient of Slice', () => {
  const cut = (g: GraphBuilder, x: Value, ...bounds: number[][]): Value =>
    g.op('Slice', [x, ...bounds.map((bound) => g.integers(bound))], {})
  it.each<[string, ...number[][]]>([
    ['a part', [1], [3], [1]],
    ['the end, counted from there', [-2], [1000], [1]],
    ['two axes', [0, 1], [1, 4], [0, 1]],
    ['every second', [1], [6], [1], [2]],
    ['every third of an axis that it does not divide', [0], [7], [1], [3]],
    ['nothing', [3], [3], [1]],
  ])('%s', async (_, ...bounds) => {
    await checkLinear({ feeds: { x: numbers([2, 7, 2]) }, build: (g, { x }) => cut(g, x, ...bounds) })
  })

  it('refuses to run backwards, naming the value', () => {
    const g = new GraphBuilder('backwards')
    const x = g.input('x', 'float32', [4])
    const y = cut(g, x, [3], [-5], [0], [-1])
    expect(() => gradients(g, new Map([[y, y]]), [x])).toThrow(/slice Slice runs backwards \(step -1\)/)
  })

  it('is itself differentiable', async () => {
    await checkLinear({
      feeds: { x: numbers([3, 5]) },
      build: (g, { x }) => g.op('Pad', [x, g.integers([1, -1, 0, 2])], {}),
    })
  })
})

describe('gradients of picking and writing', () => {
  it('TopK gives to what was picked', async () => {
    await checkLinear({
      step: 1 / 256,
      tolerance: 1e-3,
      feeds: { x: numbers([3, 6]) },
      build: (g, { x }) =>
        g.ops('TopK', [x, g.integers([2])], { axis: -1, largest: 1, sorted: 1 }, ['top', 'which'])[0],
    })
  })

  it('Gather adds up what was picked more than once, on every axis and for indices of every rank', async () => {
    const gathers: [number, Fed][] = [
      [0, integers([4], [0, 2, 2, -1])],
      [1, integers([2, 2], [0, 1, 1, 1])],
      [-1, integers([3], [3, 3, 0])],
      [1, integers([], [2])],
      [0, integers([], [1])],
    ]
    for (const [axis, indices] of gathers)
      await checkLinear({
        feeds: { x: numbers([3, 3, 4]), indices },
        build: (g, { x, indices: at }) => g.op('Gather', [x, at], { axis }),
      })
  })

  it('Gather adds in one order, also thousands into one row', async () => {
    const count = 4000
    const g = new GraphBuilder('many')
    const table = g.input('table', 'float32', [3, 8])
    const indices = g.input('indices', 'int64', [count])
    const y = g.op('Gather', [table, indices], { axis: 0 })
    const dy = g.input('dy', 'float32', y.shape)
    for (const gradient of gradients(g, new Map([[y, dy]]), [table]).values()) g.output(gradient, 'out')
    const ones = { shape: [count, 8], data: new Array<number>(count * 8).fill(1) }
    const at = integers(
      [count],
      Array.from({ length: count }, (_, i) => (i % 4 === 0 ? 0 : 2)),
    )
    const feeds = { table: tensor(numbers([3, 8])), indices: tensor(at), dy: tensor(ones) }
    const { out } = await run(g, feeds)
    expect(out.data.filter((_, i) => i % 8 === 0)).toEqual([count / 4, 0, (3 * count) / 4])
  })

  it('GatherElements and GatherND', async () => {
    await checkLinear({
      feeds: { x: numbers([3, 4]), at: integers([2, 4], [0, 1, 2, 2, 0, 1, 0, 2]) },
      build: (g, { x, at }) => g.op('GatherElements', [x, at], { axis: 0 }),
    })
    await checkLinear({
      feeds: { x: numbers([3, 4, 2]), at: integers([3, 2], [0, 1, 2, 3, 0, 1]) },
      build: (g, { x, at }) => g.op('GatherND', [x, at], {}),
    })
  })

  it.each(['none', 'add'] as const)('ScatterElements and ScatterND, reduction %s', async (reduction) => {
    await checkLinear({
      feeds: { x: numbers([3, 4]), at: integers([2, 4], [0, 1, 2, 2, 1, 0, 0, 1]), to: numbers([2, 4], 2) },
      build: (g, { x, at, to }) => g.op('ScatterElements', [x, at, to], { axis: 0, reduction }),
    })
    await checkLinear({
      feeds: { x: numbers([4, 3]), at: integers([2, 1], [0, 2]), to: numbers([2, 3], 2) },
      build: (g, { x, at, to }) => g.op('ScatterND', [x, at, to], { reduction }),
    })
  })
})
