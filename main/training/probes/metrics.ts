/** How good scores are: accuracy, area under the ROC curve, log loss, calibration. */
import { sigmoid, softplus } from './logistic'

/** Fraction of rows on the right side of 0. */
export function accuracy(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  let right = 0
  for (let i = 0; i < labels.length; i++) if (scores[i] > 0 === (labels[i] === 1)) right++
  return right / labels.length
}

/** Probability that a positive row scores above a negative one, ties half (Mann and Whitney's U); NaN with one class. */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const order = Array.from({ length: labels.length }, (_, i) => i).sort((a, b) => scores[a] - scores[b])
  let positives = 0
  let rankSum = 0
  for (let start = 0; start < order.length;) {
    let end = start
    while (end < order.length && scores[order[end]] === scores[order[start]]) end++
    const rank = (start + 1 + end) / 2
    for (let i = start; i < end; i++)
      if (labels[order[i]] === 1) {
        positives++
        rankSum += rank
      }
    start = end
  }
  const negatives = labels.length - positives
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
}

/** Mean of −log p(label), in nats, with p = σ(score). */
export function logLoss(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  let loss = 0
  for (let i = 0; i < labels.length; i++) loss += softplus(labels[i] === 1 ? -scores[i] : scores[i])
  return loss / labels.length
}

export interface ReliabilityBin {
  /** Predicted probabilities from … to. */
  readonly from: number
  readonly to: number
  readonly count: number
  /** Mean predicted probability of the positive class, null in an empty bin. */
  readonly predicted: number | null
  /** Fraction that is positive. */
  readonly observed: number | null
}

export interface Calibration {
  readonly bins: readonly ReliabilityBin[]
  /** Σ count / rows · |predicted − observed| (Guo et al., arXiv:1706.04599, for the positive class). */
  readonly expectedError: number
  readonly logLoss: number
  /** Mean (p − label)². */
  readonly brier: number
}

/** Reliability of p = σ(score) in bins of equal width. */
export function calibrationOf(scores: ArrayLike<number>, labels: ArrayLike<number>, bins = 10): Calibration {
  const counts = new Float64Array(bins)
  const predicted = new Float64Array(bins)
  const observed = new Float64Array(bins)
  let brier = 0
  for (let i = 0; i < labels.length; i++) {
    const p = sigmoid(scores[i])
    const bin = Math.min(bins - 1, Math.floor(p * bins))
    counts[bin]++
    predicted[bin] += p
    observed[bin] += labels[i]
    brier += (p - labels[i]) ** 2 / labels.length
  }
  let expectedError = 0
  const rows = Array.from({ length: bins }, (_, bin): ReliabilityBin => {
    const count = counts[bin]
    expectedError += Math.abs(predicted[bin] - observed[bin]) / labels.length
    const mean = (total: number): number | null => (count === 0 ? null : total / count)
    return {
      from: bin / bins,
      to: (bin + 1) / bins,
      count,
      predicted: mean(predicted[bin]),
      observed: mean(observed[bin]),
    }
  })
  return { bins: rows, expectedError, logLoss: logLoss(scores, labels), brier }
}
