/**
 * Logistic regression with an L2 penalty, to its optimum: minimise
 *   Σ log(1 + exp(−yᵢ (w·xᵢ + b))) + ‖w‖² / (2C),  yᵢ = ±1, the intercept b not penalised
 * (scikit-learn's objective). By Newton's method, as iteratively reweighted least squares (Hastie, Tibshirani and Friedman,
 * The Elements of Statistical Learning, 4.4.1): with p = σ(f), s = p (1 − p), r = p − y and t = f − r / s each step solves
 *   min Σ sᵢ (tᵢ − w·xᵢ − b)² + ‖w‖² / C
 * by Cholesky of the smaller side: d × d in w, or n × n in α with w = Xᵀα (the representer theorem) where n < d.
 */
import { PatchbayError } from '../../../preload/errors'
import { Cholesky, dot, kernel, product, transposedProduct, weightedGram } from './cholesky'
import { finish, type Steps } from './steps'

export interface LogisticFit {
  /** [width] */
  readonly weights: Float64Array
  readonly intercept: number
  readonly objective: number
  /** Largest element of the objective's gradient. */
  readonly gradient: number
  readonly iterations: number
}

const tolerance = 1e-8
const mostIterations = 200
/** Below this, rows that are far on the right side would count for nothing and their equation for no equation. */
const leastWeight = 1e-14

/** A parametrisation of w, in which a reweighted least-squares problem is solved. */
interface Space {
  readonly size: number
  /** X w [n] */
  readonly scores: (c: Float64Array) => Float64Array
  /** w [d] */
  readonly weights: (c: Float64Array) => Float64Array
  /** ‖w‖², given also X w */
  readonly squaredNorm: (c: Float64Array, scores: Float64Array) => number
  /** The minimum for weights s and targets t, both [n]. */
  readonly solve: (s: Float64Array, t: Float64Array) => Steps<{ c: Float64Array; b: number }>
}

/**
 * @param x [n, d]
 * @param labels 1 or 0, of both kinds
 * @throws PatchbayError `run.failed` where it does not converge
 */
export const fitLogistic = (
  x: Float64Array,
  width: number,
  labels: ArrayLike<number>,
  inversePenalty: number,
): LogisticFit => finish(logisticSteps(x, width, labels, inversePenalty))

/** `fitLogistic`, standing still before each of Newton's steps, and in them between blocks of rows. */
export function* logisticSteps(
  x: Float64Array,
  width: number,
  labels: ArrayLike<number>,
  inversePenalty: number,
): Steps<LogisticFit> {
  const n = labels.length
  const lambda = 1 / inversePenalty
  const space = n < width ? yield* kernelSpace(x, n, width, lambda) : primalSpace(x, n, width, lambda)
  let c: Float64Array = new Float64Array(space.size)
  let b = 0
  let scores = space.scores(c)
  const objectiveOf = (at: Float64Array, atScores: Float64Array, intercept: number): number => {
    let loss = 0
    for (let i = 0; i < n; i++) loss += softplus((labels[i] === 1 ? -1 : 1) * (atScores[i] + intercept))
    return loss + (lambda / 2) * space.squaredNorm(at, atScores)
  }
  let objective = objectiveOf(c, scores, b)
  for (let iterations = 0; iterations < mostIterations; iterations++) {
    const f = scores.map((score) => score + b)
    const residual = f.map((value, i) => sigmoid(value) - labels[i])
    const gradient = largestGradient(x, width, residual, space.weights(c), lambda)
    if (gradient <= tolerance)
      return { weights: space.weights(c), intercept: b, objective, gradient, iterations }
    yield
    const s = f.map((value) => Math.max(leastWeight, sigmoid(value) * sigmoid(-value)))
    const target = yield* space.solve(
      s,
      f.map((value, i) => value - residual[i] / s[i]),
    )
    const targetScores = space.scores(target.c)
    let step = 1
    for (;;) {
      const mix = (from: Float64Array, to: Float64Array): Float64Array =>
        from.map((value, i) => value + step * (to[i] - value))
      const next = { c: mix(c, target.c), scores: mix(scores, targetScores), b: b + step * (target.b - b) }
      const reached = objectiveOf(next.c, next.scores, next.b)
      // At the optimum the objective can not fall any more, but the gradient still can.
      if (reached <= objective * (1 + 1e-14) || step < 1e-10) {
        ;({ c, scores, b } = next)
        objective = reached
        break
      }
      step /= 2
    }
  }
  throw new PatchbayError('run.failed', `The probe did not converge in ${mostIterations} iterations.`, {
    next: 'Use a stronger penalty (a smaller C), or standardise the activations.',
  })
}

/** w itself: (Xᵀ S X + λ) w + Xᵀ s b = Xᵀ S t, and Σ s (t − w·x − b) = 0. */
function primalSpace(x: Float64Array, n: number, d: number, lambda: number): Space {
  return {
    size: d,
    scores: (w) => product(x, n, d, w),
    weights: (w) => w,
    squaredNorm: (w) => dot(w, 0, w, 0, d),
    *solve(s, t) {
      const gram = yield* weightedGram(x, n, d, s)
      for (let i = 0; i < d; i++) gram[i * d + i] += lambda
      const system = yield* Cholesky.steps(gram, d)
      const border = transposedProduct(x, n, d, s)
      const goal = transposedProduct(x, n, d, times(s, t))
      // Block elimination of the intercept: w = u − v b.
      const u = system.solve(goal)
      const v = system.solve(border)
      const b = (dot(s, 0, t, 0, n) - dot(border, 0, u, 0, d)) / (sum(s) - dot(border, 0, v, 0, d))
      return { c: u.map((value, i) => value - b * v[i]), b }
    },
  }
}

/** α with w = Xᵀα: (K + λ S⁻¹) α + b = t and Σ α = 0; solved as S^½ (λ + S^½ K S^½)⁻¹ S^½ (t − b), which no small s spoils. */
function* kernelSpace(x: Float64Array, n: number, d: number, lambda: number): Steps<Space> {
  const k = yield* kernel(x, n, d)
  return {
    size: n,
    scores: (alpha) => product(k, n, n, alpha),
    weights: (alpha) => transposedProduct(x, n, d, alpha),
    squaredNorm: (alpha, scores) => Math.max(0, dot(alpha, 0, scores, 0, n)),
    *solve(s, t) {
      const root = s.map(Math.sqrt)
      const a = k.map((value, i) => value * root[Math.floor(i / n)] * root[i % n])
      for (let i = 0; i < n; i++) a[i * n + i] += lambda
      const system = yield* Cholesky.steps(a, n)
      const inverse = (right: Float64Array): Float64Array => times(root, system.solve(times(root, right)))
      const u = inverse(t)
      const v = inverse(new Float64Array(n).fill(1))
      const b = sum(u) / sum(v)
      return { c: u.map((value, i) => value - b * v[i]), b }
    },
  }
}

/** max |Xᵀ r + λ w| and |Σ r| */
function largestGradient(
  x: Float64Array,
  width: number,
  residual: Float64Array,
  weights: Float64Array,
  lambda: number,
): number {
  let largest = Math.abs(sum(residual))
  transposedProduct(x, residual.length, width, residual).forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value + lambda * weights[i]))
  })
  return largest
}

export const sigmoid = (z: number): number =>
  z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z))

/** log(1 + exp(z)), without overflow. */
export const softplus = (z: number): number => Math.max(0, z) + Math.log1p(Math.exp(-Math.abs(z)))

const times = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value * b[i])
const sum = (a: Float64Array): number => a.reduce((total, value) => total + value, 0)
