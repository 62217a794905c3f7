/** From queries, keys and values to z: the fused Attention operator, or scores and pattern as values of their own. */
import type { BlockSite } from '../../../preload/hooks'
import type { AttentionSpec } from '../../models/spec'
import type { GraphBuilder } from '../../onnx/builder'
import type { Dim, Value } from '../../onnx/graph'
import type { AttentionInputs } from './attention'
import type { Context } from './context'
import { multiplied } from './linear'

export interface Attended {
  /** [batch, pos, head·d_head] */
  readonly z: Value
  /** [batch, kv_head, past + pos, d_head] */
  readonly presentKey: Value
  readonly presentValue: Value
}

/** q [batch, pos, head·d_head], k and v [batch, pos|keys, kv_head·d_head]. */
export function attend(
  context: Context<BlockSite>,
  spec: AttentionSpec,
  inputs: AttentionInputs,
  q: Value,
  k: Value,
  v: Value,
): Attended {
  const { hooks, lowering } = context
  const inner =
    spec.softcap !== null ||
    spec.sinks !== null ||
    hooks.wants('attn.hook_attn_scores') ||
    hooks.changes('attn.hook_pattern')
  return inner || !lowering.fusedAttention
    ? writtenOut(context, spec, inputs, q, k, v)
    : fused(context, spec, inputs, q, k, v)
}

function fused(
  { g, hooks }: Context<BlockSite>,
  spec: AttentionSpec,
  { bias, pastKey, pastValue }: AttentionInputs,
  q: Value,
  k: Value,
  v: Value,
): Attended {
  const attributes = { q_num_heads: spec.heads, kv_num_heads: spec.kvHeads, scale: spec.scale }
  const inputs = [q, k, v, bias, ...(pastKey === null ? [] : [pastKey, pastValue])]
  const names = ['attention', 'present_key', 'present_value']
  if (!hooks.wants('attn.hook_pattern')) {
    const [z, presentKey, presentValue] = g.ops('Attention', inputs, attributes, names)
    return { z, presentKey, presentValue }
  }
  const withPattern = { ...attributes, qk_matmul_output_mode: 3 } as const
  const [z, presentKey, presentValue, pattern] = g.ops('Attention', inputs, withPattern, [
    ...names,
    'pattern',
  ])
  hooks.at('attn.hook_pattern', pattern, pattern.shape)
  return { z, presentKey, presentValue }
}

function writtenOut(
  context: Context<BlockSite>,
  spec: AttentionSpec,
  { bias, pastKey, pastValue }: AttentionInputs,
  q: Value,
  k: Value,
  v: Value,
): Attended {
  const { g } = context
  const { heads, kvHeads, headDim } = spec
  const present = (value: Value, past: Value | null): Value => {
    const perHead = g.reshape(value, ['batch', value.shape[1], kvHeads, headDim])
    const own = g.op('Transpose', [perHead], { perm: [0, 2, 1, 3] })
    return past === null ? own : g.op('Concat', [past, own], { axis: 2 })
  }
  const presentKey = present(k, pastKey)
  const presentValue = present(v, pastValue)
  const pattern = scoresAndPattern(context, spec, q, presentKey, bias)
  const grouped = g.reshape(pattern, ['batch', kvHeads, heads / kvHeads, 'pos', presentKey.shape[2]])
  const z = g.op('MatMul', [grouped, unsqueezed(g, presentValue)], {})
  const byPosition = g.op('Transpose', [z], { perm: [0, 3, 1, 2, 4] })
  return { z: g.reshape(byPosition, ['batch', 'pos', heads * headDim]), presentKey, presentValue }
}

/**
 * The pattern [batch, head, pos, past + pos] of q [batch, pos, head·d_head] and keys [batch, kv_head, past + pos, d_head],
 * with the hook points of scores and pattern. Grouped queries share keys by broadcasting over an axis [batch, kv_head,
 * group, …].
 */
export function scoresAndPattern(
  context: Context<BlockSite>,
  spec: AttentionSpec,
  q: Value,
  presentKey: Value,
  bias: Value,
): Value {
  const { g, hooks } = context
  const { heads, kvHeads, headDim, scale, softcap } = spec
  const group = heads / kvHeads
  // Scaling the queries is the same as scaling the scores, and less to multiply.
  const scaled = multiplied(g, q, scale)
  const queries = g.op('Transpose', [g.reshape(scaled, ['batch', 'pos', kvHeads, group, headDim])], {
    perm: [0, 2, 3, 1, 4],
  })
  const keys = g.op('Transpose', [unsqueezed(g, presentKey)], { perm: [0, 1, 2, 4, 3] })
  const product = g.op('MatMul', [queries, keys], {})
  const shape: Dim[] = ['batch', heads, 'pos', presentKey.shape[2]]
  const raw = softCapped(g, g.reshape(product, shape), softcap)
  const scores = hookScores(context, g.op('Add', [raw, bias], {}), bias, shape)
  return hooks.at('attn.hook_pattern', softmax(context, spec, scores), shape)
}

const unsqueezed = (g: GraphBuilder, x: Value): Value => g.op('Unsqueeze', [x, g.integers([2])], {})

const softCapped = (g: GraphBuilder, x: Value, cap: number | null): Value =>
  cap === null ? x : multiplied(g, g.op('Tanh', [multiplied(g, x, 1 / cap)], {}), cap)

/** Masked places stay −∞ whatever is done to the scores: 0 · −∞ is no number, and the future stays unseen. */
function hookScores(
  { g, hooks }: Context<BlockSite>,
  scores: Value,
  bias: Value,
  shape: readonly Dim[],
): Value {
  if (!hooks.changes('attn.hook_attn_scores')) return hooks.at('attn.hook_attn_scores', scores, shape)
  const hidden = g.op('Equal', [bias, g.scalar(-Infinity)], {})
  const visible = g.op('Where', [hidden, g.scalar(0), scores], {})
  const masked = (changed: Value): Value => g.op('Where', [hidden, g.scalar(-Infinity), changed], {})
  return hooks.at('attn.hook_attn_scores', visible, shape, masked)
}

/** Softmax over keys; with sinks, one more logit a head takes its share and is dropped. */
function softmax({ g, weight }: Context<string>, { sinks, heads }: AttentionSpec, scores: Value): Value {
  if (sinks === null) return g.op('Softmax', [scores], { axis: -1 })
  const last = g.integers([-1])
  const sink = g.reshape(weight(sinks), [1, heads, 1, 1])
  const top = g.op('Max', [g.op('ReduceMax', [scores, last], { keepdims: 1 }), sink], {})
  const exps = g.op('Exp', [g.op('Sub', [scores, top], {})], {})
  const sum = g.op('ReduceSum', [exps, last], { keepdims: 1 })
  const whole = g.op('Add', [sum, g.op('Exp', [g.op('Sub', [sink, top], {})], {})], {})
  return g.op('Div', [exps, whole], {})
}
