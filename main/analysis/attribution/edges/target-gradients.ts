/**
 * Gradients at the inputs of the edge graph's targets. A run gives them at queries, keys and values; from there each head's
 * own share goes back through its projection and the norm before attention. What is left of a block's gradient is the MLP's.
 */
import type { AttentionSpec, BlockSpec, LinearSpec } from '../../../models/spec'
import type { Insides } from '../subject'
import { normGradient } from './norm-gradient'
import type { Products } from './products'

const channels = ['q', 'k', 'v'] as const
type Channel = (typeof channels)[number]

/** Gradients of one run that a block's targets need, [rows, pos, …] each. */
export interface BlockGradients {
  /** Residual stream at the block's input (the value, not a gradient). */
  readonly input: Float32Array
  readonly q: Float32Array
  readonly k: Float32Array
  readonly v: Float32Array
  /** Gradients at the residual stream: at the input, between attention and MLP (null in parallel blocks), at the output. */
  readonly atInput: Float32Array
  readonly atMid: Float32Array | null
  readonly atOutput: Float32Array
}

/** Hook points whose gradients are needed. */
export const gradientHooks = (blocks: readonly BlockSpec[]): string[] =>
  blocks.flatMap(({ topology }, layer) =>
    [
      'hook_resid_pre',
      'attn.hook_q',
      'attn.hook_k',
      'attn.hook_v',
      ...(topology === 'parallel' ? [] : ['hook_resid_mid']),
      'hook_resid_post',
    ].map((site) => `blocks.${layer}.${site}`),
  )

/**
 * The gradient at the input of each target of a block, in the graph's order (queries, keys, values, MLP), summed over the
 * run's rows: [target, pos · d_model].
 * @param size pos · d_model
 */
export async function targetGradients(
  insides: Insides,
  products: Products,
  block: BlockSpec,
  gradients: BlockGradients,
  size: number,
): Promise<Float32Array> {
  const { dModel } = insides.spec
  const { attention } = block
  const { heads, kvHeads, headDim } = attention
  const back = await normGradient(insides, block.attentionNorm, dModel)
  const { input, atInput, atMid, atOutput } = gradients
  const targets = new Float32Array((heads + 2 * kvHeads + 1) * size)
  /** What attention's targets have of the gradient, in all. */
  const attended = new Float32Array(size)
  let first = 0
  for (const channel of channels) {
    const count = headsOf(attention, channel)
    const weights = await headWeights(insides, attention, channel)
    const shape = { heads: count, inner: headDim, outer: dModel }
    const pulled = await products.byHead(byHead(gradients[channel], count, headDim), weights, shape)
    for (let head = 0; head < count; head++, first++) {
      const one = pulled.subarray(head * input.length, (head + 1) * input.length)
      back(input, one)
      const target = targets.subarray(first * size, (first + 1) * size)
      for (let i = 0; i < one.length; i++) target[i % size] += one[i]
      for (let i = 0; i < size; i++) attended[i] += target[i]
    }
  }
  const mlp = targets.subarray(first * size)
  const whole = atMid ?? atInput
  for (let i = 0; i < whole.length; i++) mlp[i % size] += whole[i] - atOutput[i]
  if (atMid === null) for (let i = 0; i < size; i++) mlp[i] -= attended[i]
  return targets
}

const headsOf = ({ heads, kvHeads }: AttentionSpec, channel: Channel): number =>
  channel === 'q' ? heads : kvHeads

/** [n, head, d_head] → [head, n, d_head] */
function byHead(gradient: Float32Array, heads: number, headDim: number): Float32Array {
  const turned = new Float32Array(gradient.length)
  const rows = gradient.length / heads / headDim
  for (let row = 0; row < rows; row++)
    for (let head = 0; head < heads; head++) {
      const from = (row * heads + head) * headDim
      turned.set(gradient.subarray(from, from + headDim), (head * rows + row) * headDim)
    }
  return turned
}

/** The projection to queries, keys or values as [head, d_head, d_model], whatever way the checkpoint has it. */
async function headWeights(
  insides: Insides,
  attention: AttentionSpec,
  channel: Channel,
): Promise<Float32Array> {
  const { projections, headDim, queryMultiplier } = attention
  const linear: LinearSpec = projections.kind === 'fused' ? projections.linear : projections[channel]
  const { inputs, outputs, layout } = linear
  const weights = await insides.weight(linear.weight)
  const factor = channel === 'q' ? queryMultiplier : 1
  // As most checkpoints have it, it already lies that way.
  if (projections.kind === 'separate' && layout === 'out-in' && factor === 1) return weights
  const heads = headsOf(attention, channel)
  const result = new Float32Array(heads * headDim * inputs)
  for (let head = 0; head < heads; head++) {
    const first = firstOutput(attention, channel, head)
    for (let d = 0; d < headDim; d++) {
      const to = (head * headDim + d) * inputs
      for (let i = 0; i < inputs; i++)
        result[to + i] =
          factor * weights[layout === 'out-in' ? (first + d) * inputs + i : i * outputs + first + d]
    }
  }
  return result
}

/** Where a head's outputs begin in its projection. */
function firstOutput(attention: AttentionSpec, channel: Channel, head: number): number {
  const { projections, heads, kvHeads, headDim } = attention
  if (projections.kind === 'separate') return head * headDim
  if (projections.layout === 'grouped') {
    const group = heads / kvHeads
    const place =
      channel === 'q'
        ? Math.floor(head / group) * (group + 2) + (head % group)
        : head * (group + 2) + group + (channel === 'k' ? 0 : 1)
    return place * headDim
  }
  const before = channel === 'q' ? 0 : channel === 'k' ? heads : heads + kvHeads
  return (before + head) * headDim
}
