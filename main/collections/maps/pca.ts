/**
 * Principal components of many vectors, which are only ever seen in slices: subspace iteration on the covariance from a random
 * start (the randomised SVD of Halko, Martinsson and Tropp 2011, with as many power iterations as are needed), and the
 * Rayleigh–Ritz values in that subspace. Products over slices run in ONNX Runtime, everything small in float64.
 */
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../files/durable-file'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph } from '../../onnx/graph'
import { floatData, floats, Session } from '../../runtime/session'
import { SeededRandom } from '../../training/random'
import type { Progress } from '../stream'
import type { VectorSlice } from '../vectors'
import { orthonormalise, product, symmetricEigen, transposedProduct } from './eigen'

/** What a PCA reads, as often as it needs: see `VectorSource`. */
export interface Slices {
  readonly width: number
  slices(options?: {
    signal?: AbortSignal
    onProgress?: (progress: Progress) => void
  }): AsyncIterable<VectorSlice>
}

export interface PcaOptions {
  components: number
  /** Relative change of the variances at which the iteration ends. */
  tolerance?: number
  seed?: number
  signal?: AbortSignal
  /** Called while the vectors are read for the first time, which is what takes long. */
  onRead?: (progress: Progress) => void
  /** Called after each pass over the vectors, with how many there were and the most there will be. */
  onPass?: (done: number, most: number) => void
}

export interface Pca {
  rows: Int32Array
  mean: Float64Array
  /** [components, width], orthonormal; of each the largest entry is positive. */
  directions: Float64Array
  /** Variance (n − 1 in the denominator) along each component. */
  variances: Float64Array
  /** Of all components together. */
  total: number
  /** [rows, components] */
  points: Float32Array
}

/** Directions beyond those that are asked for: the more, the fewer passes. */
const OVERSAMPLING = 10
const MOST_PASSES = 24
const TOLERANCE = 1e-5

/**
 * The first components by variance; fewer where there are not that many dimensions or rows.
 * @throws PatchbayError `input.invalid` for fewer than two vectors or values that are not finite; `run.cancelled`
 */
export async function pca(source: Slices, options: PcaOptions): Promise<Pca> {
  const { signal, onPass, onRead } = options
  const { mean, rows, total } = await moments(source, { signal, onProgress: onRead })
  onPass?.(1, MOST_PASSES + 2)
  const d = source.width
  const count = Math.min(options.components, d, rows.length - 1)
  const l = Math.min(d, count + OVERSAMPLING)
  const session = await Session.create(passGraph(d, l), { provider: 'cpu', prepack: false })
  try {
    const offset = floats(Float32Array.from(mean), [d])
    const random = new SeededRandom((options.seed ?? 0) | 0)
    let q: Float64Array = Float64Array.from({ length: d * l }, () => random.normal())
    orthonormalise(q, d, l)
    let values: Float64Array = new Float64Array(l)
    for (let pass = 0; ; pass++) {
      const y = new Float64Array(d * l)
      const basis = floats(Float32Array.from(q), [d, l])
      for await (const { data } of source.slices({ signal })) {
        throwIfCancelled(signal, 'the map')
        const x = floats(data, [data.length / d, d])
        const out = await session.run({ x, mean: offset, q: basis }, ['y'])
        const part = floatData(out.y)
        for (let i = 0; i < part.length; i++) y[i] += part[i] / (rows.length - 1)
      }
      onPass?.(pass + 2, MOST_PASSES + 2)
      const small = symmetricEigen(transposedProduct(q, y, d, l, l), l)
      const settled = changeOf(values, small.values, count) < (options.tolerance ?? TOLERANCE)
      values = small.values
      if (settled || pass === MOST_PASSES - 1 || l === d) {
        q = product(q, small.vectors, d, l, l)
        break
      }
      // C q, turned towards the Ritz vectors: the next subspace.
      q = product(y, small.vectors, d, l, l)
      orthonormalise(q, d, l)
    }
    const directions = leading(q, d, l, count)
    const points = await project(source, { mean, directions, count, total: rows.length }, signal)
    return {
      rows,
      mean,
      directions,
      variances: values.slice(0, count).map((x) => Math.max(0, x)),
      total,
      points,
    }
  } finally {
    await session.release()
  }
}

/** y [d, l] = (x − mean)ᵀ ((x − mean) q) of x [n, d], q [d, l]. */
function passGraph(d: number, l: number): Graph {
  const g = new GraphBuilder('subspace')
  const x = g.input('x', 'float32', ['n', d])
  const mean = g.input('mean', 'float32', [d])
  const q = g.input('q', 'float32', [d, l])
  const centred = g.op('Sub', [x, mean], {})
  const along = g.op('MatMul', [centred, q], {})
  const y = g.op('MatMul', [g.op('Transpose', [centred], { perm: [1, 0] }), along], {})
  g.output(y, 'y')
  return g.finish()
}

/** Mean and total variance, slice by slice (Chan, Golub and LeVeque 1979). */
async function moments(
  source: Slices,
  options: { signal?: AbortSignal; onProgress?: (progress: Progress) => void },
): Promise<{ mean: Float64Array; rows: Int32Array; total: number }> {
  const d = source.width
  const mean = new Float64Array(d)
  const rows: number[] = []
  let squares = 0
  for await (const slice of source.slices(options)) {
    throwIfCancelled(options.signal, 'the map')
    const n = slice.rows.length
    const before = rows.length
    for (const row of slice.rows) rows.push(row)
    for (let j = 0; j < d; j++) {
      let sum = 0
      for (let i = j; i < slice.data.length; i += d) sum += slice.data[i]
      const own = sum / n
      for (let i = j; i < slice.data.length; i += d) squares += (slice.data[i] - own) ** 2
      const shift = own - mean[j]
      squares += (shift * shift * before * n) / (before + n)
      mean[j] += (shift * n) / (before + n)
    }
  }
  if (rows.length < 2)
    throw new PatchbayError('input.invalid', `Only ${rows.length} of the rows have a vector there.`, {
      field: 'position',
      next: 'Choose another position, a wider filter, or wait until the values are there.',
    })
  if (!Number.isFinite(squares))
    throw new PatchbayError('input.invalid', 'Some of the values are not finite numbers.', {
      field: 'output',
      next: 'Choose another output, or leave those rows out with a filter.',
    })
  return { mean, rows: Int32Array.from(rows), total: squares / (rows.length - 1) }
}

function changeOf(before: Float64Array, after: Float64Array, count: number): number {
  let change = 0
  const largest = Math.abs(after[0])
  for (let i = 0; i < count; i++)
    change = Math.max(change, Math.abs(after[i] - before[i]) / Math.max(after[i], 1e-3 * largest, 1e-300))
  return change
}

/** The first columns of q [d, l] as rows, the largest entry of each positive. */
function leading(q: Float64Array, d: number, l: number, count: number): Float64Array {
  const out = new Float64Array(count * d)
  for (let j = 0; j < count; j++) {
    let largest = 0
    for (let i = 0; i < d; i++) if (Math.abs(q[i * l + j]) > Math.abs(largest)) largest = q[i * l + j]
    for (let i = 0; i < d; i++) out[j * d + i] = largest < 0 ? -q[i * l + j] : q[i * l + j]
  }
  return out
}

/** (x − mean) · direction of every vector. */
async function project(
  source: Slices,
  {
    mean,
    directions,
    count,
    total,
  }: { mean: Float64Array; directions: Float64Array; count: number; total: number },
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const d = source.width
  const points = new Float32Array(total * count)
  let at = 0
  for await (const { data } of source.slices({ signal })) {
    throwIfCancelled(signal, 'the map')
    for (let row = 0; row < data.length; row += d)
      for (let j = 0; j < count; j++) {
        let sum = 0
        for (let i = 0; i < d; i++) sum += (data[row + i] - mean[i]) * directions[j * d + i]
        points[at++] = sum
      }
  }
  return points
}
