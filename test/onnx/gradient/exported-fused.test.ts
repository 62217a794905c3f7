/** Gradients of the operators that parts of a transformer are fused into, each alone, against differences. */
import { describe, it } from 'vitest'
import { checkNode } from './exported-support'
import { integers, numbers, type Fed } from './support'

/** The domain of ONNX Runtime's own operators. */
const ms = 'com.microsoft'
const cube: Fed = { ...numbers([2, 3, 4]), dims: ['batch', 'pos', 4] }

describe('attention as one operator', () => {
  /** As ONNX Runtime wants them of GroupQueryAttention that rotates and has a past. */
  const [batch, pos, past, width] = [1, 3, 2, 16]
  const flat = (heads: number, seed: number): Fed => ({
    ...numbers([batch, pos, heads * width], seed),
    dims: ['batch', 'pos', heads * width],
  })
  const kept = (heads: number, seed: number, length = past): Fed => ({
    ...numbers([batch, heads, length, width], seed),
    dims: ['batch', heads, 'past', width],
  })
  const counts = (length: number): [Fed, Fed] => [
    {
      shape: [batch],
      data: new Array<number>(batch).fill(length + pos - 1),
      dtype: 'int32',
      dims: ['batch'],
    },
    { shape: [], data: [length + pos], dtype: 'int32' },
  ]

  it.each([0, past])('GroupQueryAttention with a past of %i', async (length) => {
    const inputs = [
      flat(4, 1),
      flat(2, 2),
      flat(2, 3),
      kept(2, 4, length),
      kept(2, 5, length),
      ...counts(length),
    ]
    const attributes = { num_heads: 4, kv_num_heads: 2 }
    await checkNode({ op: 'GroupQueryAttention', domain: ms, attributes, inputs, outputs: 3 })
  })

  it('GroupQueryAttention that rotates, with a window, a soft-cap and a scale', async () => {
    for (const interleaved of [0, 1]) {
      const tables = [6, 7].map((seed) => ({ ...numbers([8, width / 2], seed), dims: [8, width / 2] }))
      const inputs = [flat(4, 1), flat(2, 2), flat(2, 3), kept(2, 4), kept(2, 5), ...counts(past), ...tables]
      const attributes = {
        num_heads: 4,
        kv_num_heads: 2,
        do_rotary: 1,
        rotary_interleaved: interleaved,
        local_window_size: 2,
        softcap: { float: 1.5 },
        scale: { float: 0.7 },
      }
      const targets = [0, 1, 2, 3, 4]
      await checkNode({ op: 'GroupQueryAttention', domain: ms, attributes, inputs, outputs: 3, targets })
    }
  })

  it('GroupQueryAttention of queries, keys and values in one', async () => {
    const inputs = [flat(8, 1), null, null, kept(2, 4), kept(2, 5), ...counts(past)]
    const attributes = { num_heads: 4, kv_num_heads: 2 }
    await checkNode({ op: 'GroupQueryAttention', domain: ms, attributes, inputs, outputs: 3 })
  })

  it('MultiHeadAttention with biases and a mask, and in one direction', async () => {
    const mask: Fed = { ...numbers([1, 1, pos, pos], 7), dims: [1, 1, 'pos', 'pos'] }
    const three = [flat(2, 1), flat(2, 2), flat(2, 3)]
    const base = { op: 'MultiHeadAttention', domain: ms } as const
    await checkNode({
      ...base,
      attributes: { num_heads: 2 },
      inputs: [...three, { ...numbers([6 * width], 4), dims: [6 * width] }, null, mask],
    })
    await checkNode({ ...base, attributes: { num_heads: 2, unidirectional: 1 }, inputs: three })
  })

  it('Attention of ONNX, causal, with a mask of truth values', async () => {
    const visible: Fed = {
      shape: [pos, pos],
      data: [1, 0, 1, 1, 1, 0, 0, 1, 1],
      dtype: 'bool',
      dims: ['pos', 'pos'],
    }
    const inputs = [flat(4, 1), flat(2, 2), flat(2, 3), visible]
    const attributes = { q_num_heads: 4, kv_num_heads: 2, is_causal: 1 }
    await checkNode({ op: 'Attention', opset: 23, attributes, inputs })
  })

  it('RotaryEmbedding of ONNX Runtime and of ONNX', async () => {
    const table = (seed: number): Fed => ({ ...numbers([8, width / 2], seed), dims: [8, width / 2] })
    const positions: Fed = { ...integers([batch, pos], [4, 1, 2]), dims: ['batch', 'pos'] }
    for (const interleaved of [0, 1]) {
      const own = { op: 'RotaryEmbedding', domain: ms, attributes: { interleaved } }
      await checkNode({ ...own, inputs: [flat(2, 1), positions, table(2), table(3)], targets: [0] })
      const heads: Fed = { ...numbers([batch, 2, pos, width]), dims: ['batch', 2, 'pos', width] }
      await checkNode({ ...own, inputs: [heads, positions, table(2), table(3)], targets: [0] })
      const onnx = { op: 'RotaryEmbedding', opset: 23, attributes: { interleaved, num_heads: 2 } }
      await checkNode({ ...onnx, inputs: [flat(2, 1), table(2), table(3), positions], targets: [0] })
    }
  })
})

describe('other operators of ONNX Runtime', () => {
  it('norms of sums, before they are taken apart', async () => {
    const row = (seed: number): Fed => ({ ...numbers([4], seed), dims: [4] })
    const three = [cube, { ...numbers([2, 3, 4], 2), dims: ['batch', 'pos', 4] }, row(3)]
    await checkNode({ op: 'SkipSimplifiedLayerNormalization', domain: ms, inputs: [...three, row(4)] })
    await checkNode({ op: 'SkipLayerNormalization', domain: ms, inputs: [...three, row(4), row(5)] })
  })

  it('FusedMatMul with either side transposed', async () => {
    for (const [transA, transB] of [
      [0, 1],
      [1, 0],
    ])
      await checkNode({
        op: 'FusedMatMul',
        domain: ms,
        attributes: { transA, transB, alpha: { float: 0.5 } },
        inputs: [
          numbers(transA === 1 ? [2, 5, 3] : [2, 3, 5]),
          numbers(transB === 1 ? [2, 4, 5] : [2, 5, 4], 2),
        ],
      })
  })

  it.each([
    [4, 1],
    [4, 0],
    [8, 0],
  ])('MatMulNBits of %i bits, with points of zero given (%i) or not', async (bits, given) => {
    const groups = 3
    const code = (count: number): number[] => Array.from({ length: count }, (_, i) => (i * 37 + 11) % 256)
    const codes: Fed = {
      shape: [4, groups, 2 * bits],
      data: code(4 * groups * 2 * bits),
      dtype: 'uint8',
      dims: [4, groups, 2 * bits],
    }
    const zeros: Fed = { shape: [4 * 2], data: code(8), dtype: 'uint8', dims: [8] }
    await checkNode({
      op: 'MatMulNBits',
      domain: ms,
      attributes: { K: 48, N: 4, bits, block_size: 16 },
      inputs: [
        { ...numbers([2, 3, 48]), dims: ['batch', 'pos', 48] },
        codes,
        { ...numbers([4, groups], 2), dims: [4, groups] },
        ...(given === 1 ? [zeros] : []),
      ],
      targets: [0],
    })
  })
})
