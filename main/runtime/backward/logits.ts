/**
 * Metrics of logits that are at hand, in float64: the value, and its gradient by the logits. Where Patchbay builds the end
 * of a model itself, both are part of its graph instead (../graph/metric.ts has the same formulas).
 */
import { PatchbayError } from '../../../preload/errors'
import { logSumExp } from '../distribution'
import type { HeadKind } from '../graph/metric'
import type { Place } from './metric'

/**
 * One place's part of its row's metric.
 * @param logits [d_vocab] at the place
 * @param gradient [d_vocab], to which the gradient is added
 */
export function metricOfLogits(
  kind: Exclude<HeadKind, 'none'>,
  { tokens, coefficients, target }: Place,
  logits: Float32Array,
  gradient: Float32Array,
): number {
  if (kind === 'chosen') {
    let value = 0
    tokens.forEach((token, i) => {
      value += coefficients[i] * logits[token]
      gradient[token] += coefficients[i]
    })
    return value
  }
  const norm = logSumExp(logits)
  const [weight] = coefficients
  if (kind === 'likelihood') {
    for (let i = 0; i < logits.length; i++) gradient[i] -= weight * Math.exp(logits[i] - norm)
    gradient[tokens[0]] += weight
    return weight * (logits[tokens[0]] - norm)
  }
  if (target === null) throw new PatchbayError('internal', 'There is no distribution to compare with.')
  let value = 0
  if (kind === 'target-model') {
    target.forEach((t, i) => {
      if (t > 0) value += t * (Math.log(t) - (logits[i] - norm))
      gradient[i] += weight * (Math.exp(logits[i] - norm) - t)
    })
    return weight * value
  }
  const ratio = (i: number): number => logits[i] - norm - Math.log(target[i])
  for (let i = 0; i < logits.length; i++) value += Math.exp(logits[i] - norm) * ratio(i)
  for (let i = 0; i < logits.length; i++)
    gradient[i] += weight * Math.exp(logits[i] - norm) * (ratio(i) - value)
  return weight * value
}
