/** Next-token distributions from one row of logits, in float64. */
import { logSumExp } from '../runtime/distribution'

/** softmax(logits) as float64. */
export function softmax(logits: Float32Array): Float64Array {
  const total = logSumExp(logits)
  return Float64Array.from(logits, (x) => Math.exp(x - total))
}

/** Indices of the `count` largest scores, largest first; equal ones in the order of their indices. */
export function largest(scores: Float64Array, count: number): number[] {
  const order = Array.from(scores, (_, i) => i)
  order.sort((a, b) => scores[b] - scores[a] || a - b)
  return order.slice(0, count)
}
