/**
 * Difference of means (Marks and Tegmark, arXiv:2310.06824, "mass-mean" without the covariance): w = μ⁺ − μ⁻, with the
 * threshold half-way between the means.
 */
import { dot } from './cholesky'

/** @param x [n, width] */
export function fitMeanDifference(
  x: Float64Array,
  width: number,
  labels: ArrayLike<number>,
): { weights: Float64Array; intercept: number } {
  const means = [new Float64Array(width), new Float64Array(width)]
  const counts = [0, 0]
  for (let row = 0; row < labels.length; row++) counts[labels[row]]++
  for (let i = 0; i < x.length; i++) {
    const label = labels[Math.floor(i / width)]
    means[label][i % width] += x[i] / counts[label]
  }
  const [negative, positive] = means
  const weights = positive.map((value, i) => value - negative[i])
  const middle = positive.map((value, i) => (value + negative[i]) / 2)
  return { weights, intercept: -dot(weights, 0, middle, 0, width) }
}
