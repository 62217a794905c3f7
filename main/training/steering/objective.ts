/**
 * The objective of a steering vector, by the log-probabilities of continuations (Subramani et al., arXiv:2205.05124; with
 * suppression: Dunefsky and Cohan, arXiv:2502.18862). With ℓ = log P(continuation | prompt) / tokens, the mean over
 * examples of
 *   raise: −ℓ,   lower: −log(1 − exp ℓ).
 */
import type { SteeringExample } from './examples'

/** Below this 1 − exp ℓ counts as this much: a certain token has a finite loss and a gradient that points away. */
const leastDoubt = 1e-6

/**
 * One example's loss, and its derivative by log P.
 * @param logProbability log P(continuation | prompt), in nats
 */
export function lossOf(
  { aim, continuation }: SteeringExample,
  logProbability: number,
): { loss: number; derivative: number } {
  const tokens = continuation.length
  const mean = logProbability / tokens
  if (aim === 'raise') return { loss: -mean, derivative: -1 / tokens }
  const p = Math.exp(mean)
  const doubt = Math.max(leastDoubt, -Math.expm1(mean))
  return { loss: -Math.log(doubt), derivative: p / doubt / tokens }
}
