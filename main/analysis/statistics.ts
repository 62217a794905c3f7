/**
 * Moments and histograms of many numbers, in chunks and in float64. What is not finite is counted and left out: masked
 * attention scores are −∞, and one NaN must not blank a picture.
 */
import type { Histogram } from '../../preload/views'

export interface Summary {
  /** All elements, finite or not. */
  count: number
  /** Of the finite elements; all are 0 where there is none. */
  mean: number
  /** Population standard deviation. */
  standardDeviation: number
  minimum: number
  maximum: number
  /** √Σx² */
  norm: number
  zeros: number
  notFinite: number
}

/** Collects moments chunk by chunk; chunks are merged by Chan, Golub and LeVeque's (1979) pairwise update. */
export class Moments {
  private count = 0
  private finite = 0
  private mean = 0
  /** Σ (x − mean)² of the finite elements. */
  private squares = 0
  private sumOfSquares = 0
  private minimum = Infinity
  private maximum = -Infinity
  private zeros = 0

  add(chunk: Float32Array): void {
    let finite = 0
    let sum = 0
    for (const x of chunk) {
      if (!Number.isFinite(x)) continue
      finite++
      sum += x
      if (x === 0) this.zeros++
      if (x < this.minimum) this.minimum = x
      if (x > this.maximum) this.maximum = x
    }
    this.count += chunk.length
    if (finite === 0) return
    const mean = sum / finite
    let squares = 0
    for (const x of chunk) {
      if (!Number.isFinite(x)) continue
      squares += (x - mean) ** 2
      this.sumOfSquares += x * x
    }
    const total = this.finite + finite
    const shift = mean - this.mean
    this.squares += squares + (shift * shift * this.finite * finite) / total
    this.mean += (shift * finite) / total
    this.finite = total
  }

  summary(): Summary {
    const some = this.finite > 0
    return {
      count: this.count,
      mean: this.mean,
      standardDeviation: some ? Math.sqrt(this.squares / this.finite) : 0,
      minimum: some ? this.minimum : 0,
      maximum: some ? this.maximum : 0,
      norm: Math.sqrt(this.sumOfSquares),
      zeros: this.zeros,
      notFinite: this.count - this.finite,
    }
  }
}

export const HISTOGRAM_BINS = 64

/** Counts of finite elements in equal bins; the last bin includes its upper edge. */
export class HistogramCounter {
  private readonly counts: Int32Array
  private readonly low: number
  private readonly width: number

  /** Bins from `minimum` to `maximum`; where they are equal, one unit about them. */
  constructor({ minimum, maximum }: Pick<Summary, 'minimum' | 'maximum'>, bins = HISTOGRAM_BINS) {
    const flat = maximum <= minimum
    this.low = flat ? minimum - 0.5 : minimum
    this.width = (flat ? 1 : maximum - minimum) / bins
    this.counts = new Int32Array(bins)
  }

  add(chunk: Float32Array): void {
    const last = this.counts.length - 1
    for (const x of chunk) {
      if (!Number.isFinite(x)) continue
      // The quotient may round up to the number of bins at the upper edge.
      this.counts[Math.min(last, Math.max(0, Math.floor((x - this.low) / this.width)))]++
    }
  }

  histogram(): Histogram {
    const edges = Float32Array.from({ length: this.counts.length + 1 }, (_, i) => this.low + i * this.width)
    return { edges, counts: this.counts }
  }
}

/** Moments and histogram of one array. */
export function describe(
  data: Float32Array,
  bins = HISTOGRAM_BINS,
): { summary: Summary; histogram: Histogram } {
  const moments = new Moments()
  moments.add(data)
  const summary = moments.summary()
  const counter = new HistogramCounter(summary, bins)
  counter.add(data)
  return { summary, histogram: counter.histogram() }
}

/** L2 norm of each row of [rows, width]. */
export function rowNorms(data: Float32Array, width: number): Float32Array {
  const norms = new Float32Array(width === 0 ? 0 : data.length / width)
  for (let row = 0; row < norms.length; row++) {
    let sum = 0
    for (let i = row * width; i < (row + 1) * width; i++) sum += data[i] * data[i]
    norms[row] = Math.sqrt(sum)
  }
  return norms
}

/** Cosine of two vectors; NaN where one of them is zero. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let product = 0
  let left = 0
  let right = 0
  for (let i = 0; i < a.length; i++) {
    product += a[i] * b[i]
    left += a[i] * a[i]
    right += b[i] * b[i]
  }
  return product / Math.sqrt(left * right)
}
