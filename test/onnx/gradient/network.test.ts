/** Gradients of norms, rotary embedding and attention, against differences. */
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../../main/onnx/builder'
import { gradients } from '../../../main/onnx/gradient'
import type { Value } from '../../../main/onnx/graph'
import type { Attributes } from '../../../main/onnx/operators'
import { checkGradients, numbers, type Fed } from './support'

describe('gradients of norms', () => {
  it('centres and scales back through LayerNormalization, with and without a bias', async () => {
    const feeds = { x: numbers([3, 6]), scale: numbers([6], 2), bias: numbers([6], 3) }
    const attributes = { axis: -1, epsilon: 1e-3 }
    await checkGradients({
      feeds,
      build: (g, { x, scale, bias }) => g.op('LayerNormalization', [x, scale, bias], attributes),
    })
    await checkGradients({
      feeds,
      targets: ['x', 'scale'],
      build: (g, { x, scale }) => g.op('LayerNormalization', [x, scale], attributes),
    })
  })

  it('scales back through RMSNormalization, and over two axes', async () => {
    await checkGradients({
      feeds: { x: numbers([2, 3, 5]), scale: numbers([5], 2) },
      build: (g, { x, scale }) => g.op('RMSNormalization', [x, scale], { axis: -1, epsilon: 1e-3 }),
    })
    await checkGradients({
      feeds: { x: numbers([2, 3, 4]), scale: numbers([3, 4], 2) },
      build: (g, { x, scale }) => g.op('RMSNormalization', [x, scale], { axis: 1, epsilon: 1e-3 }),
    })
  })
})

describe('the gradient of RotaryEmbedding', () => {
  it.each([
    ['halves', 0, 6],
    ['neighbours', 1, 6],
    ['a part of each head', 0, 4],
  ] as const)('turns %s back', async (_, interleaved, dim) => {
    const attributes = { interleaved, num_heads: 2, rotary_embedding_dim: dim }
    await checkGradients({
      feeds: { x: numbers([2, 3, 12]), cos: numbers([2, 3, dim / 2], 2), sin: numbers([2, 3, dim / 2], 3) },
      targets: ['x'],
      build: (g, { x, cos, sin }) => g.op('RotaryEmbedding', [x, cos, sin], attributes),
    })
  })

  it('says that angles have no gradient, and where', () => {
    const g = new GraphBuilder('angles')
    const [x, cos, sin] = ['x', 'cos', 'sin'].map((name) => g.input(name, 'float32', [1, 2, 4]))
    const attributes = { interleaved: 0, num_heads: 1, rotary_embedding_dim: 8 } as const
    const y = g.op('RotaryEmbedding', [x, cos, sin], attributes, 'turned')
    expect(() => gradients(g, new Map([[y, x]]), [cos])).toThrow(/angles of the rotation turned/)
  })
})

describe('the gradient of Attention', () => {
  const past = 2
  const pos = 3
  const causal = (rows: number): Fed => ({
    shape: [1, 1, rows, past + rows],
    data: Array.from({ length: rows * (past + rows) }, (_, i) =>
      i % (past + rows) > Math.floor(i / (past + rows)) + past ? -Infinity : 0,
    ),
  })
  const feeds = (heads: number, kvHeads: number): Record<string, Fed> => ({
    q: { ...numbers([2, pos, heads * 4]), dims: ['batch', 'pos', heads * 4] },
    k: { ...numbers([2, pos, kvHeads * 4], 2), dims: ['batch', 'pos', kvHeads * 4] },
    v: { ...numbers([2, pos, kvHeads * 4], 3), dims: ['batch', 'pos', kvHeads * 4] },
    mask: { ...causal(pos), dims: ['?batch', '?head', 'pos', 'past+pos'] },
    pk: { ...numbers([2, kvHeads, past, 4], 4), dims: ['batch', kvHeads, 'past', 4] },
    pv: { ...numbers([2, kvHeads, past, 4], 5), dims: ['batch', kvHeads, 'past', 4] },
  })
  const attend =
    (attributes: Attributes['Attention'], names = ['y']) =>
    (g: GraphBuilder, { q, k, v, mask, pk, pv }: Record<string, Value>): Value[] => {
      // ONNX Runtime wants the present keys and values to be asked for where there are past ones.
      const all = ['y', 'presentKey', 'presentValue', 'inner'].slice(0, Math.max(3, names.length))
      return g.ops('Attention', [q, k, v, mask, pk, pv], attributes, all).slice(0, names.length)
    }
  const targets = ['q', 'k', 'v', 'pk', 'pv']

  it('reaches queries, keys, values and what is kept of earlier ones', async () => {
    const attributes = { q_num_heads: 2, kv_num_heads: 2, scale: 0.5 }
    await checkGradients({ feeds: feeds(2, 2), targets, build: attend(attributes) })
  })

  it('sums over queries that share keys', async () => {
    const attributes = { q_num_heads: 4, kv_num_heads: 2, scale: 0.5 }
    await checkGradients({ feeds: feeds(4, 2), targets, build: attend(attributes) })
  })

  it('goes through the soft-cap', async () => {
    const attributes = { q_num_heads: 4, kv_num_heads: 2, scale: 0.7, softcap: 2 }
    await checkGradients({ feeds: feeds(4, 2), targets, build: attend(attributes) })
  })

  it.each([0, 1, 2, 3] as const)(
    'takes gradients by all its outputs, with inner values of mode %s',
    async (mode) => {
      const attributes = {
        q_num_heads: 4,
        kv_num_heads: 2,
        scale: 0.7,
        softcap: 2,
        qk_matmul_output_mode: mode,
      }
      const mask = { ...numbers([1, 4, pos, past + pos], 6), dims: ['?batch', '?head', 'pos', 'past+pos'] }
      await checkGradients({
        feeds: { ...feeds(4, 2), mask },
        build: attend(attributes, ['y', 'presentKey', 'presentValue', 'inner']),
      })
    },
  )

  it('sums the mask’s gradient over what it was broadcast to', async () => {
    const attributes = { q_num_heads: 4, kv_num_heads: 2, scale: 0.5 }
    for (const shape of [
      [1, 1, pos, past + pos],
      [2, 1, pos, past + pos],
      [1, 4, pos, past + pos],
    ])
      await checkGradients({
        feeds: {
          ...feeds(4, 2),
          mask: { ...numbers(shape, 7), dims: ['?batch', '?head', 'pos', 'past+pos'] },
        },
        targets: ['mask'],
        build: attend(attributes),
      })
  })

  it('works without anything kept, and with a length of zero', async () => {
    const attributes = { q_num_heads: 4, kv_num_heads: 2, scale: 0.5 }
    const { q, k, v } = feeds(4, 2)
    await checkGradients({
      feeds: { q, k, v },
      build: (g, inputs) => g.op('Attention', [inputs.q, inputs.k, inputs.v], attributes),
    })
    const empty = { shape: [2, 2, 0, 4], data: [], dims: ['batch', 2, 'past', 4] }
    const mask = { ...numbers([1, 1, pos, pos], 6), dims: ['?batch', '?head', 'pos', 'past+pos'] }
    await checkGradients({ feeds: { q, k, v, mask, pk: empty, pv: empty }, build: attend(attributes) })
  })

  it('uses the pattern that the operator has computed', () => {
    const g = new GraphBuilder('pattern')
    const [q, k, v] = ['q', 'k', 'v'].map((name) => g.input(name, 'float32', ['batch', 'pos', 8]))
    const y = g.op('Attention', [q, k, v], { q_num_heads: 2, kv_num_heads: 2, scale: 1 })
    gradients(g, new Map([[y, g.input('dy', 'float32', y.shape)]]), [q, k, v])
    expect(g.nodes.filter(({ op }) => op === 'Softmax')).toEqual([])
    expect(g.nodes.filter(({ op }) => op === 'Attention')).toHaveLength(1)
  })
})
