/** Gradients of what is computed element by element, against differences, at ordinary and at special points. */
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../../main/onnx/builder'
import { gradients } from '../../../main/onnx/gradient'
import type { Value } from '../../../main/onnx/graph'
import { checkGradients, expectClose, numbers, run, tensor, type Fed } from './support'

/** What tinygrad tests at, with 0 where the function is smooth there, and numbers in between. */
const points = (...special: number[]): Fed => {
  const data = [...special, ...numbers([6]).data]
  return { shape: [data.length], data }
}
const everywhere = points(-5, -2, 0, 2, 5)
const positive = points(0.5, 2, 5, ...numbers([6]).data.map((x) => Math.abs(x) + 0.3))
const above = { shape: [9], data: positive.data.slice(0, 9) }

describe('gradients of functions of one number', () => {
  it.each(['Neg', 'Exp', 'Sin', 'Cos', 'Erf', 'Tanh', 'Sigmoid', 'Identity'] as const)('%s', async (op) => {
    await checkGradients({ feeds: { x: everywhere }, build: (g, { x }) => g.op(op, [x], {}) })
  })

  it.each(['Sqrt', 'Log'] as const)('%s', async (op) => {
    await checkGradients({ feeds: { x: above }, build: (g, { x }) => g.op(op, [x], {}) })
  })

  it.each(['none', 'tanh'] as const)('Gelu, %s', async (approximate) => {
    await checkGradients({
      feeds: { x: everywhere },
      build: (g, { x }) => g.op('Gelu', [x], { approximate }),
    })
  })

  it('Relu, away from its corner', async () => {
    await checkGradients({ feeds: { x: points(-5, -2, 2, 5) }, build: (g, { x }) => g.op('Relu', [x], {}) })
  })

  it('Clip, with gradients of the bounds where they act', async () => {
    const scalar = (value: number): Fed => ({ shape: [], data: [value] })
    await checkGradients({
      feeds: { x: points(-5, -2, 0, 2, 5), low: scalar(-1.1), high: scalar(1.1) },
      build: (g, { x, low, high }) => g.op('Clip', [x, low, high], {}),
    })
  })

  it('Softmax over the last and over another axis', async () => {
    for (const axis of [-1, 1])
      await checkGradients({
        feeds: { x: numbers([2, 3, 4]) },
        build: (g, { x }) => g.op('Softmax', [x], { axis }),
      })
  })

  it('Floor and casts to whole numbers have none: what is behind them gets zeros', async () => {
    const g = new GraphBuilder('steps')
    const x = g.input('x', 'float32', [3])
    const whole = g.op('Cast', [g.op('Cast', [x], { to: 'int64' })], { to: 'float32' })
    const y = g.op('Add', [g.op('Floor', [x], {}), whole], {})
    const [dx] = gradients(g, new Map([[y, x]]), [x]).values()
    g.output(dx, 'dx')
    const { dx: got } = await run(g, { x: tensor({ shape: [3], data: [0.5, 1.5, 2.5] }) })
    expect(got.data).toEqual([0, 0, 0])
  })

  it('Cast between float types passes the gradient in the other type', async () => {
    await checkGradients({
      feeds: { x: everywhere },
      build: (g, { x }) => {
        const wide = g.op('Cast', [x], { to: 'float64' })
        return g.op('Cast', [g.op('Mul', [wide, wide], {})], { to: 'float32' })
      },
    })
  })
})

describe('gradients of functions of two, broadcast in every way', () => {
  const pairs: [string, Record<string, Fed>][] = [
    ['equal shapes', { a: numbers([2, 3]), b: numbers([2, 3], 2) }],
    ['a row', { a: numbers([2, 3]), b: numbers([3], 2) }],
    ['a column', { a: numbers([2, 1]), b: numbers([2, 3], 2) }],
    ['both', { a: numbers([2, 1, 3]), b: numbers([4, 1], 2) }],
    ['a number', { a: numbers([]), b: numbers([2, 3], 2) }],
  ]
  /** Away from 0, where the functions below have no gradient. */
  const away = ({ shape, data }: Fed): Fed => ({ shape, data: data.map((x) => Math.abs(x) + 0.4) })

  describe.each(pairs)('%s', (_, feeds) => {
    it.each(['Add', 'Sub', 'Mul', 'Max', 'Min'] as const)('%s', async (op) => {
      await checkGradients({ feeds, build: (g, { a, b }) => g.op(op, [a, b], {}) })
    })

    it.each(['Div', 'Pow'] as const)('%s', async (op) => {
      await checkGradients({
        feeds: { a: away(feeds.a), b: away(feeds.b) },
        build: (g, { a, b }) => g.op(op, [a, b], {}),
      })
    })

    it('Where', async () => {
      const c: Fed = { shape: [3], data: [1, 0, 1], dtype: 'bool' }
      await checkGradients({
        feeds: { ...feeds, c },
        build: (g, { a, b, c: which }) => g.op('Where', [which, a, b], {}),
      })
    })
  })

  it('a value that is used twice gets both gradients', async () => {
    await checkGradients({
      feeds: { x: everywhere },
      build: (g, { x }) => g.op('Add', [g.op('Mul', [x, x], {}), g.op('Sin', [x], {})], {}),
    })
  })

  it('powers of numbers of either sign by whole exponents, and the exponent 0 at 0', async () => {
    for (const exponent of [0, 1, 2, 3])
      await checkGradients({
        feeds: { x: everywhere },
        build: (g, { x }) => g.op('Pow', [x, g.scalar(exponent)], {}),
      })
  })

  it('the largest of several shares among equal ones', async () => {
    const g = new GraphBuilder('ties')
    const [a, b, c] = ['a', 'b', 'c'].map((name) => g.input(name, 'float32', [2]))
    const y = g.op('Max', [a, b, c], {})
    const dy = g.input('dy', 'float32', [2])
    const found = gradients(g, new Map([[y, dy]]), [a, b, c])
    ;[a, b, c].forEach((x, i) => g.output(found.get(x) ?? x, `d${i}`))
    const feed = (...data: number[]) => tensor({ shape: [2], data })
    const out = await run(g, { a: feed(1, 2), b: feed(1, 3), c: feed(0, 3), dy: feed(4, 6) })
    expect([out.d0.data, out.d1.data, out.d2.data]).toEqual([
      [2, 0],
      [2, 3],
      [0, 3],
    ])
  })
})

describe('dimensions that are open until it runs', () => {
  const y: Fed = { ...numbers([2, 3, 4]), dims: ['batch', 'pos', 4] }
  it.each([[[1, 1, 4]], [[2, 3, 4]], [[1, 3, 1]], [[2, 1, 1]]])('a port of shape %j', async (shape) => {
    const port: Fed = { ...numbers(shape, 3), dims: ['?0', '?1', '?2'] }
    const mul = (g: GraphBuilder, { x, port: p }: Record<string, Value>): Value => g.op('Mul', [x, p], {})
    await checkGradients({ feeds: { x: y, port }, build: mul })
  })

  it('an open operand changes nothing for a known one', () => {
    const g = new GraphBuilder('port')
    const x = g.input('x', 'float32', ['batch', 'pos', 4])
    const out = g.op('Add', [x, g.input('value', 'float32', ['?0', '?1', '?2'])], {})
    const before = g.nodes.length
    gradients(g, new Map([[out, g.input('dy', 'float32', out.shape)]]), [x])
    expect(g.nodes.slice(before)).toEqual([])
  })
})

describe('the second derivative', () => {
  it('comes from differentiating the gradient: tanh″ = −2 tanh (1 − tanh²)', async () => {
    const g = new GraphBuilder('second')
    const x = g.input('x', 'float32', [5])
    const one = g.ones(5)
    const [first] = gradients(g, new Map([[g.op('Tanh', [x], {}), one]]), [x]).values()
    const [second] = gradients(g, new Map([[first, one]]), [x]).values()
    g.output(second, 'second')
    const data = [-2, -0.5, 0, 0.7, 1.5]
    const { second: got } = await run(g, { x: tensor({ shape: [5], data }) })
    const exact = data.map((value) => -2 * Math.tanh(value) * (1 - Math.tanh(value) ** 2))
    expectClose('second', got.data, exact, 1e-5)
  })
})
