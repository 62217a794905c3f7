/** Gradients of matrix products and reductions, against differences. */
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../../main/onnx/builder'
import { gradients } from '../../../main/onnx/gradient'
import { checkGradients, numbers, type Fed } from './support'

const flags = [0, 1] as const
const gemms = flags.flatMap((transA) =>
  flags.flatMap((transB) => [{ transA, transB } as const, { transA, transB, alpha: 0.5, beta: 2 } as const]),
)

describe('the gradient of Gemm', () => {
  it.each(gemms)('%o', async (attributes) => {
    const { transA, transB } = attributes
    const matrix = (rows: number, columns: number, flip: 0 | 1, seed: number): Fed =>
      numbers(flip === 1 ? [columns, rows] : [rows, columns], seed)
    for (const c of [[4], [3, 4], [3, 1], []])
      await checkGradients({
        feeds: { a: matrix(3, 5, transA, 1), b: matrix(5, 4, transB, 2), c: numbers(c, 3) },
        build: (g, { a, b, c: added }) => g.op('Gemm', [a, b, added], attributes),
      })
  })

  it('reads a weight as it lies: no transposition', () => {
    for (const transB of flags) {
      const g = new GraphBuilder('linear')
      const x = g.input('x', 'float32', ['tokens', 8])
      const w = g.input('w', 'float32', transB === 1 ? [6, 8] : [8, 6])
      const y = g.op('Gemm', [x, w], { transB })
      gradients(g, new Map([[y, g.input('dy', 'float32', y.shape)]]), [x, w])
      expect(g.nodes.map(({ op }) => op)).toEqual(['Gemm', 'Gemm', 'Gemm'])
    }
  })
})

describe('the gradient of MatMul', () => {
  const shapes: [number[], number[]][] = [
    [
      [3, 5],
      [5, 4],
    ],
    [
      [2, 3, 5],
      [5, 4],
    ],
    [
      [2, 3, 5],
      [2, 5, 4],
    ],
    [
      [3, 5],
      [2, 5, 4],
    ],
    [
      [2, 1, 3, 5],
      [3, 5, 4],
    ],
    [
      [2, 2, 3, 3, 5],
      [2, 2, 1, 5, 4],
    ],
  ]
  it.each(shapes)('%j by %j', async (a, b) => {
    await checkGradients({
      feeds: { a: numbers(a), b: numbers(b, 2) },
      build: (g, { a: left, b: right }) => g.op('MatMul', [left, right], {}),
    })
  })

  it('does not turn a pattern around, and turns around what is narrow', async () => {
    const pattern: Fed = { ...numbers([2, 2, 3, 3]), dims: ['batch', 2, 'pos', 'pos'] }
    const values: Fed = { ...numbers([2, 2, 3, 4], 2), dims: ['batch', 2, 'pos', 4] }
    await checkGradients({
      feeds: { pattern, values },
      build: (g, { pattern: p, values: v }) => g.op('MatMul', [p, v], {}),
    })
  })
})

describe('the gradient of MatMulNBits', () => {
  it('multiplies by the matrix that the codes stand for', async () => {
    const codes: Fed = {
      shape: [3, 2, 16],
      data: Array.from({ length: 96 }, (_, i) => (i * 37 + 11) % 256),
      dtype: 'uint8',
    }
    await checkGradients({
      feeds: { x: numbers([2, 64]), codes, scales: numbers([3, 2], 2) },
      targets: ['x'],
      tolerance: 2e-2,
      build: (g, { x, codes: c, scales }) =>
        g.op('MatMulNBits', [x, c, scales], { K: 64, N: 3, bits: 4, block_size: 32, accuracy_level: 1 }),
    })
  })

  it('says that codes and scales have none', () => {
    const g = new GraphBuilder('quantised')
    const x = g.input('x', 'float32', ['n', 32])
    const codes = g.input('codes', 'uint8', [3, 1, 16])
    const scales = g.input('scales', 'float32', [3, 1])
    const attributes = { K: 32, N: 3, bits: 4, block_size: 32, accuracy_level: 1 } as const
    const y = g.op('MatMulNBits', [x, codes, scales], attributes, 'product')
    expect(() => gradients(g, new Map([[y, y]]), [scales])).toThrow(/MatMulNBits .*product.* input 2/)
  })
})

describe('gradients of reductions', () => {
  const cases = (['ReduceSum', 'ReduceMean', 'ReduceMax'] as const).flatMap((op) =>
    flags.flatMap((keepdims) => [[-1], [1], [0, 2]].map((axes) => ({ op, keepdims, axes }))),
  )
  it.each(cases)('$op over $axes, keepdims $keepdims', async ({ op, keepdims, axes }) => {
    await checkGradients({
      feeds: { x: numbers([2, 3, 4]) },
      build: (g, { x }) => g.op(op, [x, g.integers(axes)], { keepdims }),
    })
  })

  it('means over an axis whose size is known only when it runs', async () => {
    await checkGradients({
      feeds: { x: { ...numbers([2, 3, 4]), dims: ['batch', 'pos', 4] } },
      build: (g, { x }) => g.op('ReduceMean', [x, g.integers([1, 2])], { keepdims: 0 }),
    })
  })
})
