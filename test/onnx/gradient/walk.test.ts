/** The walk itself: chains, shared values, targets inside, and that nothing is computed which is not needed. */
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../../main/onnx/builder'
import { gradients, prune } from '../../../main/onnx/gradient'
import type { Value } from '../../../main/onnx/graph'
import { checkGradients, numbers, run, tensor } from './support'

const operators = (g: GraphBuilder): string[] => g.nodes.map(({ op }) => op)

describe('gradients of whole graphs', () => {
  it('follow a block of norm, projections, activation and residual stream', async () => {
    const weights = {
      w1: numbers([4, 6], 2),
      w2: numbers([6, 4], 3),
      scale: numbers([4], 4),
      b: numbers([6], 5),
    }
    await checkGradients({
      feeds: { x: { ...numbers([2, 3, 4]), dims: ['batch', 'pos', 4] }, ...weights },
      build: (g, { x, w1, w2, scale, b }) => {
        const rows = g.reshape(x, ['batch*pos', 4])
        const normed = g.op('RMSNormalization', [rows, scale], { axis: -1, epsilon: 1e-3 })
        const pre = g.op('Gemm', [normed, w1, b], {})
        const post = g.op('Mul', [pre, g.op('Sigmoid', [pre], {})], {})
        return g.op('Add', [rows, g.op('Gemm', [post, w2], {})], {})
      },
    })
  })

  it('add up over all ways to a value that is shared', async () => {
    await checkGradients({
      feeds: { x: numbers([5]) },
      build: (g, { x }) => {
        const shared = g.op('Sin', [x], {})
        const both = g.op('Mul', [shared, g.op('Exp', [shared], {})], {})
        return [both, g.op('Add', [shared, both], {}), x]
      },
    })
  })

  it('are given by values inside, of which one may depend on another', async () => {
    const g = new GraphBuilder('inside')
    const x = g.input('x', 'float32', [2])
    const y = g.op('Mul', [x, g.scalar(3)], {})
    const z = g.op('Mul', [y, y], {})
    const found = gradients(g, new Map([[z, g.ones(2)]]), [x, y, z])
    ;[x, y, z].forEach((value, i) => g.output(found.get(value) ?? x, `d${i}`))
    const { d0, d1, d2 } = await run(g, { x: tensor({ shape: [2], data: [1, 2] }) })
    expect([d0.data, d1.data, d2.data]).toEqual([
      [18, 36],
      [6, 12],
      [1, 1],
    ])
  })

  it('are zeros where the metric does not depend on the target', async () => {
    const g = new GraphBuilder('apart')
    const [x, other] = ['x', 'other'].map((name) => g.input(name, 'float32', ['n', 2]))
    const y = g.op('Neg', [x], {})
    const found = gradients(g, new Map([[y, y]]), [other])
    g.output(found.get(other) ?? x, 'd')
    const feed = tensor(numbers([3, 2]))
    const { d } = await run(g, { x: feed, other: feed })
    expect(d).toEqual({ shape: [3, 2], data: [0, 0, 0, 0, 0, 0] })
  })

  it('sum to zeros over an axis without elements', async () => {
    const g = new GraphBuilder('nobody')
    const x = g.input('x', 'float32', ['n', 3])
    const [w, b] = [g.input('w', 'float32', [3, 2]), g.input('b', 'float32', [2])]
    const y = g.op('Gemm', [x, w, b], {})
    const found = gradients(g, new Map([[y, g.input('dy', 'float32', ['n', 2])]]), [x, w, b])
    ;[x, w, b].forEach((value, i) => g.output(found.get(value) ?? x, `d${i}`))
    const empty = (width: number) => tensor({ shape: [0, width], data: [] })
    const feeds = { x: empty(3), dy: empty(2), w: tensor(numbers([3, 2])), b: tensor(numbers([2])) }
    const { d0, d1, d2 } = await run(g, feeds)
    expect([d0, d1, d2]).toEqual([
      { shape: [0, 3], data: [] },
      { shape: [3, 2], data: [0, 0, 0, 0, 0, 0] },
      { shape: [2], data: [0, 0] },
    ])
  })

  it('take a mixture of experts back to tokens, weights and router, also to experts that nobody chose', async () => {
    await checkGradients({
      step: 1 / 256,
      tolerance: 2e-2,
      feeds: { x: numbers([4, 3]), router: numbers([3, 3], 2), expert: numbers([3, 3], 9) },
      build: (g, { x, router, expert }) => {
        const scores = g.op('Softmax', [g.op('MatMul', [x, router], {})], { axis: -1 })
        const attributes = { axis: -1, largest: 1, sorted: 1 } as const
        const [top, which] = g.ops('TopK', [scores, g.integers([1])], attributes, ['top', 'which'])
        const zeros = (like: Value): Value => g.op('Expand', [g.scalar(0), g.op('Shape', [like], {})], {})
        const shares = g.op('ScatterElements', [zeros(scores), which, top], { axis: 1 })
        const columns = g.ops('Split', [shares, g.integers([1, 1, 1])], { axis: 1 }, ['a', 'b', 'c'])
        return columns.reduce((sum, column) => {
          const found = g.op('NonZero', [g.reshape(column, [4])], {})
          const count = found.shape[1]
          const tokens = g.reshape(found, [count])
          const hidden = g.op('Gemm', [g.op('Gather', [x, tokens], { axis: 0 }), expert], {})
          const weighted = g.op('Mul', [hidden, g.op('Gather', [column, tokens], { axis: 0 })], {})
          return g.op('ScatterND', [sum, g.reshape(found, [count, 1]), weighted], { reduction: 'add' })
        }, zeros(x))
      },
    })
  })

  it('name operator and value where a float on the way has none', () => {
    const g = new GraphBuilder('angles')
    const [x, cos, sin] = ['x', 'cos', 'sin'].map((name) => g.input(name, 'float32', [1, 2, 4]))
    const turn = { interleaved: 0, num_heads: 1, rotary_embedding_dim: 8 } as const
    const y = g.op('RotaryEmbedding', [x, g.op('Neg', [cos], {}), sin], turn, 'turned')
    expect(() => gradients(g, new Map([[y, x]]), [cos])).toThrow(
      expect.objectContaining({ code: 'model.unsupported', next: expect.any(String) as string }),
    )
  })
})

describe('what is not needed', () => {
  it('is not differentiated: other operands, values beside the way, integers', () => {
    const g = new GraphBuilder('way')
    const [x, w] = ['x', 'w'].map((name) => g.input(name, 'float32', [2, 2]))
    const beside = g.op('Exp', [w], {})
    const y = g.op('MatMul', [g.op('Mul', [x, beside], {}), w], {})
    const forward = operators(g).length
    gradients(g, new Map([[y, g.input('dy', 'float32', [2, 2])]]), [x])
    expect(operators(g).slice(forward)).toEqual(['Gemm', 'Mul'])
  })

  it('is pruned: nodes and initialisers that no output needs', () => {
    const g = new GraphBuilder('pruned')
    const x = g.input('x', 'float32', [2, 4])
    const unembedding = g.inline('u', 'float32', [4, 9], new Float32Array(36))
    const logits = g.op('Gemm', [g.op('Tanh', [x], {}), unembedding], {})
    g.op('Gemm', [x, g.inline('unused', 'float32', [4, 1], new Float32Array(4))], {})
    const dLogits = g.input('dlogits', 'float32', [2, 9])
    const [dx] = gradients(g, new Map([[logits, dLogits]]), [x]).values()
    g.output(dx, 'dx')
    const pruned = prune(g.finish())
    // Without the forward product itself.
    expect(pruned.nodes.filter(({ op }) => op === 'Gemm')).toHaveLength(1)
    expect(pruned.nodes.map(({ op }) => op)).toContain('Tanh')
    expect(pruned.initialisers.map(({ value }) => value.name)).not.toContain('unused')
    expect(pruned.inputs.map(({ name }) => name)).toEqual(['x', 'dlogits'])
  })
})
