/**
 * ALiBi (arXiv:2108.12409): a bias on the scores that falls with distance, by one slope a head. What the families differ in
 * is whether it is scaled together with the scores, and in which precision it is computed.
 */
import { decodeBfloat16, encodeBfloat16 } from './formats/float16'
import type { AlibiSpec } from './spec'

/**
 * Slopes, one a head. With a head count that is no power of two, the next lower power's slopes come first and every other
 * one of the next higher power's fills up, as the authors' code does.
 */
export function alibiSlopes(heads: number, maxBias = 8): number[] {
  const lower = 2 ** Math.floor(Math.log2(heads))
  return Array.from({ length: heads }, (_, head) =>
    head < lower
      ? 2 ** ((-maxBias * (head + 1)) / lower)
      : 2 ** ((-maxBias * (2 * (head - lower) + 1)) / (2 * lower)),
  )
}

/** ALiBi as published: unscaled and exact. */
export const plainAlibi = (heads: number, maxBias = 8): AlibiSpec => ({
  slopes: alibiSlopes(heads, maxBias),
  scale: 1,
  bfloat16: false,
})

/** scale · f(p) for one head and the positions 0 to `count` − 1; scores get the key's value less the query's. */
export function alibiTerms(
  { slopes, scale, bfloat16 }: AlibiSpec,
  head: number,
  count: number,
): Float64Array {
  const positions = Float64Array.from({ length: count }, (_, position) => position)
  const exact = positions.map((position) => slopes[head] * position)
  if (!bfloat16) return exact.map((term) => scale * term)
  const slope = rounded([slopes[head]])[0]
  return rounded(rounded(positions).map((position) => slope * position)).map((term) => scale * term)
}

/** Each number rounded to the nearest bfloat16. */
const rounded = (values: ArrayLike<number>): Float64Array =>
  Float64Array.from(decodeBfloat16(encodeBfloat16(Float32Array.from(values))))
