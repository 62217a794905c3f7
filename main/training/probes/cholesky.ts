/**
 * Symmetric positive-definite systems in float64, by Cholesky's factorisation A = L Lᵀ. Matrices are row-major. What takes
 * long for wide matrices stands still between blocks of rows.
 */
import { PatchbayError } from '../../../preload/errors'
import { finish, Pace, type Steps } from './steps'

export class Cholesky {
  private constructor(
    private readonly l: Float64Array,
    private readonly n: number,
  ) {}

  /**
   * @param a [n, n]; its lower triangle is read and overwritten
   * @throws PatchbayError `run.failed` where the matrix is not positive definite
   */
  static of(a: Float64Array, n: number): Cholesky {
    return finish(Cholesky.steps(a, n))
  }

  /** `of`, standing still between rows. */
  static *steps(a: Float64Array, n: number): Steps<Cholesky> {
    const pace = new Pace()
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        const sum = a[i * n + j] - dot(a, i * n, a, j * n, j)
        if (i !== j) a[i * n + j] = sum / a[j * n + j]
        else if (sum > 0) a[i * n + i] = Math.sqrt(sum)
        else
          throw new PatchbayError('run.failed', 'The equations of the probe have no unique solution.', {
            next: 'Use a stronger penalty (a smaller C).',
          })
      }
      if (pace.isDue((i * i) / 2)) yield
    }
    return new Cholesky(a, n)
  }

  /** x with A x = b. */
  solve(b: Float64Array): Float64Array {
    const { l, n } = this
    const x = b.slice()
    for (let i = 0; i < n; i++) x[i] = (x[i] - dot(l, i * n, x, 0, i)) / l[i * n + i]
    for (let i = n - 1; i >= 0; i--) {
      x[i] /= l[i * n + i]
      for (let j = 0; j < i; j++) x[j] -= l[i * n + j] * x[i]
    }
    return x
  }
}

type Numbers = Float32Array | Float64Array

/** Σ a[from + k] · b[at + k] for k < count, in float64. */
export function dot(a: Numbers, from: number, b: Numbers, at: number, count: number): number {
  let sum = 0
  for (let k = 0; k < count; k++) sum += a[from + k] * b[at + k]
  return sum
}

/** Xᵀ diag(s) X [d, d], its lower triangle, of x [n, d]. */
export function* weightedGram(x: Float64Array, n: number, d: number, s: Float64Array): Steps<Float64Array> {
  const gram = new Float64Array(d * d)
  const pace = new Pace()
  for (let row = 0; row < n; row++) {
    const at = row * d
    for (let i = 0; i < d; i++) {
      const factor = s[row] * x[at + i]
      if (factor === 0) continue
      const into = i * d
      for (let j = 0; j <= i; j++) gram[into + j] += factor * x[at + j]
    }
    if (pace.isDue((d * d) / 2)) yield
  }
  return gram
}

/** X Xᵀ [n, n], whole, of x [n, d]. */
export function* kernel(x: Float64Array, n: number, d: number): Steps<Float64Array> {
  const k = new Float64Array(n * n)
  const pace = new Pace()
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) k[i * n + j] = k[j * n + i] = dot(x, i * d, x, j * d, d)
    if (pace.isDue(i * d)) yield
  }
  return k
}

/** X w [n] of x [n, d]. */
export function product(x: Float64Array, n: number, d: number, w: Float64Array): Float64Array {
  const y = new Float64Array(n)
  for (let row = 0; row < n; row++) y[row] = dot(x, row * d, w, 0, d)
  return y
}

/** Xᵀ r [d] of x [n, d]. */
export function transposedProduct(x: Float64Array, n: number, d: number, r: Float64Array): Float64Array {
  const y = new Float64Array(d)
  for (let row = 0; row < n; row++) for (let i = 0; i < d; i++) y[i] += r[row] * x[row * d + i]
  return y
}
