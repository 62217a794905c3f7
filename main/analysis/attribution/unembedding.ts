/** The direction in the final residual stream that a token's logit (or a difference of two) reads, its norm's scale frozen. */
import { sliced, type Weight } from '../../models/weights'
import {
  constantOf,
  dot,
  freezeNorm,
  pulled,
  readLinear,
  times,
  type FrozenNorm,
  type Vector,
} from './linear'
import type { Insides } from './subject'

export interface ReadDirection {
  /** [d_model] */
  readonly direction: Vector
  /** What biases add to the logit (difference). */
  readonly constant: number
  readonly norm: FrozenNorm | null
}

/**
 * For logits before any soft-cap: logit(positive) − logit(negative) = direction · x + constant for the residual stream x
 * at which the norm is frozen.
 * @param x final residual stream at one position, [d_model]
 */
export async function readDirection(
  insides: Insides,
  x: ArrayLike<number>,
  positive: number,
  negative: number | null,
): Promise<ReadDirection> {
  const { unembedding } = insides.spec
  const { head, multiplier } = unembedding
  const column = async (token: number): Promise<{ weight: Float32Array; bias: number }> => ({
    weight: await insides.weight(one(head.weight, head.layout === 'out-in' ? 0 : 1, token)),
    bias: head.bias === null ? 0 : (await insides.weight(one(head.bias, 0, token)))[0],
  })
  const plus = await column(positive)
  const minus = negative === null ? null : await column(negative)
  let direction = times(
    Float64Array.from(plus.weight, (w, i) => w - (minus?.weight[i] ?? 0)),
    multiplier,
  )
  let constant = multiplier * (plus.bias - (minus?.bias ?? 0))
  if (unembedding.projection !== null) {
    const projection = await readLinear(insides, unembedding.projection)
    constant += projection.bias === null ? 0 : dot(projection.bias, direction)
    direction = projection.pull(direction)
  }
  const norm = await freezeNorm(insides, unembedding.norm, x)
  return { direction: pulled(norm, direction), constant: constant + constantOf(norm, direction), norm }
}

const one = (weight: Weight, axis: number, index: number): Weight => sliced(weight, axis, index, index + 1)
