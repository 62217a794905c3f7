/**
 * A linear probe by ridge regression on labels ±1: minimise Σ (w·xᵢ + b − yᵢ)² + λ ‖w‖², b not penalised. On centred
 * activations X and labels: w = (XᵀX + λ)⁻¹ Xᵀy = Xᵀ (XXᵀ + λ)⁻¹ y, by Cholesky of the smaller side (Hastie, Tibshirani
 * and Friedman, 3.4.1 and 18.3.5).
 */
import { Cholesky, dot, kernel, transposedProduct, weightedGram } from './cholesky'
import { finish, type Steps } from './steps'

/** @param x [n, width], changed: it is centred */
export const fitRidge = (
  ...of: Parameters<typeof ridgeSteps>
): { weights: Float64Array; intercept: number } => finish(ridgeSteps(...of))

/** `fitRidge`, standing still between blocks of rows. */
export function* ridgeSteps(
  x: Float64Array,
  width: number,
  labels: ArrayLike<number>,
  lambda: number,
): Steps<{ weights: Float64Array; intercept: number }> {
  const n = labels.length
  const mean = new Float64Array(width)
  for (let i = 0; i < x.length; i++) mean[i % width] += x[i] / n
  for (let i = 0; i < x.length; i++) x[i] -= mean[i % width]
  const y = Float64Array.from({ length: n }, (_, row) => (labels[row] === 1 ? 1 : -1))
  const centre = y.reduce((total, value) => total + value, 0) / n
  const target = y.map((value) => value - centre)
  const small = Math.min(n, width)
  const a = yield* n < width ? kernel(x, n, width) : weightedGram(x, n, width, new Float64Array(n).fill(1))
  for (let i = 0; i < small; i++) a[i * small + i] += lambda
  const system = yield* Cholesky.steps(a, small)
  const weights =
    n < width
      ? transposedProduct(x, n, width, system.solve(target))
      : system.solve(transposedProduct(x, n, width, target))
  return { weights, intercept: centre - dot(weights, 0, mean, 0, width) }
}
