/** Numbers of rows' vectors: norms, nearest neighbours, cosines between outputs. Streamed, a slice of rows at a time. */
import { PatchbayError } from '../../preload/errors'
import type { Tensor } from '../../preload/tensor'
import { cosine, rowNorms } from '../analysis/statistics'
import type { OpenCollection } from './collection'
import type { Progress } from './stream'
import { VectorSource, type VectorChoice } from './vectors'

export interface MeasureOptions {
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
}

/**
 * L2 norms of the chosen vector of each row at several outputs: [row, output], NaN where a row has none.
 * @param rows all unless given
 */
export async function norms(
  collection: OpenCollection,
  { outputs, position }: { outputs: readonly string[]; position: VectorChoice['position'] },
  rows: Int32Array | null,
  { signal, onProgress }: MeasureOptions = {},
): Promise<{ rows: Int32Array; norms: Tensor }> {
  const asked = rows ?? Int32Array.from({ length: collection.length }, (_, i) => i)
  const place = new Map(Array.from(asked, (row, i) => [row, i]))
  const data = new Float32Array(asked.length * outputs.length).fill(NaN)
  const total = asked.length * outputs.length
  for (const [column, output] of outputs.entries()) {
    const source = new VectorSource(collection, { output, position }, rows, 0)
    const onRows = ({ done }: Progress): void => onProgress?.({ done: column * asked.length + done, total })
    for await (const slice of source.slices({ signal, onProgress: onRows }))
      rowNorms(slice.data, source.width).forEach((norm, i) => {
        data[(place.get(slice.rows[i]) ?? 0) * outputs.length + column] = norm
      })
  }
  return { rows: asked, norms: { shape: [asked.length, outputs.length], data } }
}

export type Metric = 'cosine' | 'euclidean' | 'dot'

/** How near two vectors are, and whether more is nearer. NaN where one of them is zero (cosine). */
const metrics: Record<Metric, { nearer: 1 | -1; of: (a: Float32Array, b: Float32Array) => number }> = {
  cosine: { nearer: 1, of: cosine },
  dot: {
    nearer: 1,
    of: (a, b) => {
      let sum = 0
      for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
      return sum
    },
  },
  euclidean: {
    nearer: -1,
    of: (a, b) => {
      let sum = 0
      for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
      return Math.sqrt(sum)
    },
  },
}

/**
 * The rows whose vector is nearest to one row's, nearest first, and how near they are; the row itself is not among them.
 * @throws PatchbayError `input.invalid` where the row has no vector there
 */
export async function neighbours(
  collection: OpenCollection,
  { row, metric, count, ...choice }: VectorChoice & { row: number; metric: Metric; count: number },
  rows: Int32Array | null,
  options: MeasureOptions = {},
): Promise<{ rows: Int32Array; values: Float32Array }> {
  await collection.row(row)
  const source = new VectorSource(collection, choice, rows)
  const target = await source.one(row)
  if (target === null)
    throw new PatchbayError('input.invalid', `Row ${row} has no vector there.`, {
      field: 'row',
      next: 'Choose another row or position, or wait until its values are there.',
    })
  const { nearer, of } = metrics[metric]
  let best: { row: number; value: number }[] = []
  const sorted = () => best.sort((a, b) => nearer * (b.value - a.value) || a.row - b.row).slice(0, count)
  for await (const slice of source.slices(options)) {
    slice.rows.forEach((other, i) => {
      if (other === row) return
      const value = of(target, slice.data.subarray(i * source.width, (i + 1) * source.width))
      if (!Number.isNaN(value)) best.push({ row: other, value })
    })
    best = sorted()
  }
  return {
    rows: Int32Array.from(best, (each) => each.row),
    values: Float32Array.from(best, ({ value }) => value),
  }
}

/**
 * The mean over rows of the cosine between a row's vectors at each two outputs: [output, output]; NaN where no row has both.
 * @throws PatchbayError `input.invalid` where outputs are not as large as each other
 */
export async function cosines(
  collection: OpenCollection,
  { outputs, position }: { outputs: readonly string[]; position: VectorChoice['position'] },
  rows: Int32Array | null,
  { signal, onProgress }: MeasureOptions = {},
): Promise<Tensor> {
  const sources = outputs.map((output) => new VectorSource(collection, { output, position }, rows, 0))
  const n = sources.length
  const [{ width }] = sources
  const odd = sources.findIndex((source) => source.width !== width)
  if (odd >= 0)
    throw new PatchbayError(
      'input.invalid',
      `${outputs[odd]} has ${sources[odd].width} numbers a position, ${outputs[0]} ${width}.`,
      { field: 'outputs', next: 'Compare outputs that are as large as each other.' },
    )
  const sums = new Float64Array(n * n)
  const counts = new Float64Array(n * n)
  // All outputs are read side by side, a slice of rows of each at a time: a row that one lacks is skipped there.
  const readers = sources.map(
    (source, i) => new RowReader(source, { signal, onProgress: i === 0 ? onProgress : undefined }),
  )
  for (;;) {
    const heads = await Promise.all(readers.map((reader) => reader.row()))
    const present = heads.filter((row) => row !== null)
    if (present.length === 0) break
    const row = present.reduce((a, b) => Math.min(a, b))
    const vectors = readers.map((reader, i) => (heads[i] === row ? unit(reader.take()) : null))
    for (let i = 0; i < n; i++)
      for (let j = i; j < n; j++) {
        const [a, b] = [vectors[i], vectors[j]]
        if (a === null || b === null) continue
        sums[i * n + j] += metrics.dot.of(a, b)
        counts[i * n + j]++
      }
  }
  const data = new Float32Array(n * n)
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) data[i * n + j] = data[j * n + i] = sums[i * n + j] / counts[i * n + j]
  return { shape: [n, n], data }
}

/** A vector divided by its norm; null for zero, which has no direction. */
function unit(vector: Float32Array): Float32Array | null {
  const [norm] = rowNorms(vector, vector.length)
  return norm > 0 ? vector.map((x) => x / norm) : null
}

/** The vectors of a source one after the other. */
class RowReader {
  private readonly slices: AsyncIterator<{ rows: Int32Array; data: Float32Array }>
  private slice: { rows: Int32Array; data: Float32Array } | null = null
  private at = 0

  constructor(
    private readonly source: VectorSource,
    options: MeasureOptions,
  ) {
    this.slices = source.slices(options)
  }

  /** The next row's number; null behind the last. */
  async row(): Promise<number | null> {
    while (this.slice === null || this.at === this.slice.rows.length) {
      const next = await this.slices.next()
      if (next.done === true) return null
      this.slice = next.value
      this.at = 0
    }
    return this.slice.rows[this.at]
  }

  take(): Float32Array {
    const { width } = this.source
    const i = this.at++
    return this.slice?.data.subarray(i * width, (i + 1) * width) ?? new Float32Array(width)
  }
}
