/**
 * The attention sublayer: projections, head norms, rotary embedding, scores, pattern, z and output. One fused operator
 * where nothing inside is changed; written out in plain operators where it is.
 */
import type { BlockSite } from '../../../preload/hooks'
import type { AttentionSpec, HeadNormSpec } from '../../models/spec'
import type { RopeSpec } from '../../models/rope'
import type { GraphBuilder } from '../../onnx/builder'
import type { Dim, Value } from '../../onnx/graph'
import type { Context } from './context'
import { linear, multiplied } from './linear'
import { norm } from './norm'
import { rotated } from './rotary'
import { attend } from './scores'

/** Inputs that all blocks of a run share, and this block's keys and values of earlier positions. */
export interface AttentionInputs {
  /** cos and sin [batch, pos, rotary/2]; null without rotary embedding */
  readonly cos: Value | null
  readonly sin: Value | null
  /** Added to the scores: 0 or −∞ (and ALiBi), broadcastable to [batch, head, pos, past + pos] */
  readonly bias: Value
  /** [batch, kv_head, past, d_head]; null where nothing lies before */
  readonly pastKey: Value | null
  readonly pastValue: Value | null
  /** Where the tokens do not lie as [batch, pos]; unless given, they do. */
  readonly columns?: TokenColumns
  /** [tokens, head·d_head] where the heads' outputs are given, so that only their projection is left. */
  readonly z?: Value
}

/** How tokens of rows that begin at different positions become columns for attention, and its output tokens again. */
export interface TokenColumns {
  /** Projected q [kept tokens, width] → [batch, pos, width], k or v [tokens, width] → [batch, keys, width] */
  spread(value: Value, which: 'q' | 'k' | 'v'): Value
  /** cos and sin [batch, pos, rotary/2] of queries, where those of the inputs are for keys; null without. */
  readonly queryAngles: { readonly cos: Value | null; readonly sin: Value | null }
  /** z [batch·pos, width] → [kept tokens, width] */
  tokens(z: Value): Value
  /** Of values [tokens, width] those rows that the rest of the block goes on with. */
  kept(value: Value): Value
}

export interface AttentionOutputs {
  /** [tokens, d_model] */
  readonly output: Value
  /** [batch, kv_head, past + pos, d_head] */
  readonly presentKey: Value
  readonly presentValue: Value
}

/** x [tokens, d_model] → what attention adds to the residual stream, before any post-norm. */
export function attention(
  context: Context<BlockSite>,
  spec: AttentionSpec,
  rope: RopeSpec | null,
  inputs: AttentionInputs,
  x: Value,
): AttentionOutputs {
  const { g, hooks } = context
  const { heads, kvHeads, headDim } = spec
  if (inputs.z !== undefined) {
    const none = { presentKey: inputs.z, presentValue: inputs.z }
    return { ...none, output: projectOut(context, spec, inputs.z) }
  }
  const split = (count: number): Dim[] => ['batch', 'pos', count, headDim]
  const projected = project(context, spec, x, inputs.columns)
  let q = hooks.at('attn.hook_q', projected.q, split(heads))
  let k = hooks.at('attn.hook_k', projected.k, split(kvHeads))
  const v = hooks.at('attn.hook_v', projected.v, split(kvHeads))
  q = headNorm(context, spec.qNorm, q, heads, headDim)
  k = headNorm(context, spec.kNorm, k, kvHeads, headDim)
  const wide = (value: Value, which: 'q' | 'k' | 'v'): Value =>
    inputs.columns?.spread(value, which) ??
    g.reshape(value, ['batch', 'pos', (which === 'q' ? heads : kvHeads) * headDim])
  q = rotated(context, rope, inputs.columns?.queryAngles ?? inputs, wide(q, 'q'), heads)
  k = rotated(context, rope, inputs, wide(k, 'k'), kvHeads)
  q = hooks.at('attn.hook_rot_q', q, split(heads))
  k = hooks.at('attn.hook_rot_k', k, split(kvHeads))
  const attended = attend(context, spec, inputs, q, k, wide(v, 'v'))
  const z = hooks.at('attn.hook_z', attended.z, split(heads))
  const flat = g.reshape(z, ['batch*pos', heads * headDim])
  return { ...attended, output: projectOut(context, spec, inputs.columns?.tokens(flat) ?? flat) }
}

/** Queries (of kept tokens), keys and values, each [tokens, heads·d_head]. */
function project(
  context: Context<BlockSite>,
  spec: AttentionSpec,
  x: Value,
  columns: TokenColumns | undefined,
): { q: Value; k: Value; v: Value } {
  const { g } = context
  const { projections, heads, kvHeads, headDim, queryMultiplier, clip } = spec
  const clipped = (value: Value): Value =>
    clip === null ? value : g.op('Clip', [value, g.scalar(-clip), g.scalar(clip)], {})
  const kept = (value: Value): Value => columns?.kept(value) ?? value
  if (projections.kind === 'separate')
    return {
      q: multiplied(g, clipped(linear(context, projections.q, kept(x))), queryMultiplier),
      k: clipped(linear(context, projections.k, x)),
      v: clipped(linear(context, projections.v, x)),
    }
  const fused = clipped(linear(context, projections.linear, x))
  if (projections.layout === 'stacked') {
    const sizes = g.integers([heads * headDim, kvHeads * headDim, kvHeads * headDim])
    const [q, k, v] = g.ops('Split', [fused, sizes], { axis: 1 }, ['q', 'k', 'v'])
    return { q: multiplied(g, kept(q), queryMultiplier), k, v }
  }
  const group = heads / kvHeads
  const grouped = g.reshape(fused, ['batch*pos', kvHeads, group + 2, headDim])
  const parts = g.ops('Split', [grouped, g.integers([group, 1, 1])], { axis: 2 }, ['q', 'k', 'v'])
  const [q, k, v] = parts.map((part, i) =>
    g.reshape(part, ['batch*pos', (i === 0 ? heads : kvHeads) * headDim]),
  )
  return { q: multiplied(g, kept(q), queryMultiplier), k, v }
}

function headNorm(
  context: Context<BlockSite>,
  spec: HeadNormSpec | null,
  x: Value,
  heads: number,
  headDim: number,
): Value {
  if (spec === null) return x
  if (spec.over === 'width') return norm(context, spec.norm, x)
  const { g, weight } = context
  const normed = norm(context, spec.norm, g.reshape(x, ['batch*pos', heads, headDim]))
  if (spec.apart === null) return g.reshape(normed, x.shape)
  const weights = g.reshape(g.op('Concat', spec.apart.map(weight), { axis: 0 }), [heads, headDim])
  return g.reshape(g.op('Mul', [normed, weights], {}), x.shape)
}

/** The output projection of z [tokens, head·d_head]; head by head where the single heads' results are wanted. */
function projectOut(context: Context<BlockSite>, spec: AttentionSpec, z: Value): Value {
  const { g, hooks, weight } = context
  if (!hooks.wants('attn.hook_result')) return linear(context, spec.output, z)
  const dims = ['batch', 'pos', spec.heads, spec.output.outputs]
  const result = hooks.at('attn.hook_result', headResults(g, weight, spec, z), dims)
  const sum = g.op('ReduceSum', [result, g.integers([1])], { keepdims: 0 })
  return spec.output.bias === null ? sum : g.op('Add', [sum, weight(spec.output.bias)], {})
}

/** What each head alone adds, without the bias: z [tokens, head·d_head] → [tokens, head, d_model]. */
export function headResults(
  g: GraphBuilder,
  weight: Context<string>['weight'],
  { heads, headDim, output }: AttentionSpec,
  z: Value,
): Value {
  const matrix = weight(output.weight)
  const perHead = g.op('Transpose', [g.reshape(z, ['batch*pos', heads, headDim])], { perm: [1, 0, 2] })
  const matrices =
    output.layout === 'in-out'
      ? g.reshape(matrix, [heads, headDim, output.outputs])
      : g.op('Transpose', [g.reshape(matrix, [output.outputs, heads, headDim])], { perm: [1, 2, 0] })
  return g.op('Transpose', [g.op('MatMul', [perHead, matrices], {})], { perm: [1, 0, 2] })
}
