/** Readings of the operators that whole parts of a transformer are fused into: ONNX's own and ONNX Runtime's. */
import { textOf } from '../../exported/attributes'
import type { Value } from '../../graph'
import type { Emitter } from '../emit'
import { causalMask, rotated } from './positions'
import { as, flag, float, integer, type Foreign, type Reading } from './reading'

interface Operands {
  readonly q: Value
  readonly k: Value
  readonly v: Value
  /** Added to the scores; null for none. */
  readonly mask: Value | null
  readonly past: readonly [Value | null, Value | null]
  readonly heads: number
  readonly kvHeads: number
}

/** As our Attention, whose rule computes the pattern anew in ordinary operators. */
const attention = (foreign: Foreign, { q, k, v, mask, past, heads, kvHeads }: Operands) => {
  const width = Number(q.shape[2]) / heads
  const attributes = {
    q_num_heads: heads,
    kv_num_heads: kvHeads,
    // A scale of 0 stands for the usual one.
    scale: float(foreign, 'scale', 0) || 1 / Math.sqrt(width),
    softcap: float(foreign, 'softcap', 0),
  }
  return {
    ...as(foreign, 'Attention', attributes, [q, k, v, mask, ...past]),
    outputs: foreign.outputs.slice(0, 3),
  }
}

/** Whether all of the first three operands are [batch, pos, heads · d_head]. */
const isFlat = (...values: (Value | null | undefined)[]): boolean =>
  values.every((value) => value?.shape.length === 3 && typeof value.shape[2] === 'number')

const layouts = 'its queries, keys and values are not [batch, position, width]'

export const fused: Readonly<Record<string, Reading>> = {
  /** ONNX's own; ONNX Runtime has another one of this name, which takes a mask of lengths. */
  Attention: (foreign) => {
    const { emit, inputs, node } = foreign
    if (node.domain !== '') return 'it is the one that projects by itself'
    if (!isFlat(inputs[0], inputs[1], inputs[2])) return layouts
    if (foreign.outputs[3]) return 'its scores are given out'
    const given = inputs[3] ?? null
    const added = given?.dtype === 'bool' ? visibility(emit, given, foreign.x(0)) : given
    const causal =
      flag(foreign, 'is_causal', 0) === 1
        ? causalMask(foreign, foreign.x(0), foreign.x(1), inputs[4] ?? null, -1)
        : null
    return attention(foreign, {
      q: foreign.x(0),
      k: foreign.x(1),
      v: foreign.x(2),
      mask: emit.addAny(added, causal),
      past: [inputs[4] ?? null, inputs[5] ?? null],
      heads: integer(foreign, 'q_num_heads', 0),
      kvHeads: integer(foreign, 'kv_num_heads', 0),
    })
  },
  MultiHeadAttention: (foreign) => {
    const { emit, inputs } = foreign
    if (!isFlat(inputs[0], inputs[1], inputs[2])) return layouts
    if (inputs[4]) return 'it has a mask of lengths'
    const biases = inputs[3]
      ? emit.g.ops('Split', [inputs[3], sizesOf(foreign)], { axis: 0 }, ['q', 'k', 'v'])
      : []
    const [q, k, v] = [0, 1, 2].map((i) =>
      biases.length > 0 ? emit.add(foreign.x(i), biases[i]) : foreign.x(i),
    )
    const causal =
      flag(foreign, 'unidirectional', 0) === 1 ? causalMask(foreign, q, k, inputs[6] ?? null, -1) : null
    const heads = integer(foreign, 'num_heads', 0)
    return attention(foreign, {
      q,
      k,
      v,
      mask: emit.addAny(inputs[5] ?? null, causal),
      past: [inputs[6] ?? null, inputs[7] ?? null],
      heads,
      kvHeads: heads,
    })
  },
  /** Rows are taken to be without padding between earlier and new positions, and what is given out to be as long as both. */
  GroupQueryAttention: (foreign) => {
    const { emit, inputs } = foreign
    const [heads, kvHeads] = [integer(foreign, 'num_heads', 0), integer(foreign, 'kv_num_heads', 0)]
    if (flag(foreign, 'smooth_softmax', 0) === 1 || inputs[11]) return 'it has a sink'
    if (textOf(foreign.node, 'k_quant_type') ?? textOf(foreign.node, 'v_quant_type')) return 'it keeps codes'
    const parts = operandsOf(foreign, heads, kvHeads)
    if (parts === null) return layouts
    const past = inputs[3] ?? null
    let { q, k } = parts
    if (flag(foreign, 'do_rotary', 0) === 1) {
      const rotary = {
        interleaved: flag(foreign, 'rotary_interleaved', 0) === 1,
        cos: foreign.x(7),
        sin: foreign.x(8),
      }
      const at = inputs[9] ?? { from: past, pos: q }
      q = rotated(emit, q, { ...rotary, heads, at })
      k = rotated(emit, k, { ...rotary, heads: kvHeads, at })
    }
    const window = integer(foreign, 'local_window_size', -1)
    const mask = emit.addAny(inputs[10] ?? null, causalMask(foreign, q, k, past, window))
    return attention(foreign, { ...parts, q, k, mask, past: [past, inputs[4] ?? null], heads, kvHeads })
  },
  /** ONNX's own takes the tables before the positions. */
  RotaryEmbedding: (foreign) => {
    const { emit, inputs, node } = foreign
    const x = foreign.x(0)
    const isOwn = node.domain === ''
    const [cos, sin, at] = isOwn
      ? [foreign.x(1), foreign.x(2), inputs[3] ?? null]
      : [foreign.x(2), foreign.x(3), foreign.x(1)]
    if (at !== null && at.shape.length !== 2) return 'its positions are an offset'
    if (typeof x.shape.at(-1) !== 'number' || typeof cos.shape.at(-1) !== 'number')
      return 'its width is not known'
    const rotary = 2 * Number(cos.shape.at(-1))
    const heads = integer(foreign, 'num_heads', 0) || Number(x.shape.at(-1)) / rotary
    return [rotated(emit, x, { interleaved: flag(foreign, 'interleaved', 0) === 1, cos, sin, heads, at })]
  },
  SkipLayerNormalization: (foreign) => skipped(foreign, 'LayerNormalization'),
  SkipSimplifiedLayerNormalization: (foreign) => skipped(foreign, 'RMSNormalization'),
}

const sizesOf = (foreign: Foreign): Value =>
  foreign.emit.g.integers([0, 1, 2].map((i) => Number(foreign.x(i).shape[2])))

/** 0 where a mask is true, else −∞. */
const visibility = (emit: Emitter, mask: Value, like: Value): Value =>
  emit.where(mask, emit.number(0, like), emit.number(-Infinity, like))

/** Queries, keys and values, which may come as one. */
function operandsOf(
  { emit, inputs, x }: Foreign,
  heads: number,
  kvHeads: number,
): Pick<Operands, 'q' | 'k' | 'v'> | null {
  if (!isFlat(inputs[0])) return null
  if (inputs[1] && inputs[2]) return isFlat(inputs[1], inputs[2]) ? { q: x(0), k: x(1), v: x(2) } : null
  const width = Number(x(0).shape[2]) / (heads + 2 * kvHeads)
  const sizes = emit.g.integers([heads, kvHeads, kvHeads].map((count) => count * width))
  const [q, k, v] = emit.g.ops('Split', [x(0), sizes], { axis: 2 }, ['q', 'k', 'v'])
  return { q, k, v }
}

/** norm(x + skip + bias), which gives out the sum too. */
function skipped(foreign: Foreign, op: 'LayerNormalization' | 'RMSNormalization'): readonly (Value | null)[] {
  const { emit, inputs } = foreign
  const weights = op === 'LayerNormalization' ? inputs.slice(2, 4) : inputs.slice(2, 3)
  const bias = inputs[op === 'LayerNormalization' ? 4 : 3] ?? null
  const both = emit.add(foreign.x(0), foreign.x(1))
  const sum = bias === null ? both : emit.add(both, bias)
  const attributes = { axis: -1, epsilon: float(foreign, 'epsilon', 1e-12) }
  return [emit.g.op(op, [sum, ...weights], attributes), null, null, sum]
}
