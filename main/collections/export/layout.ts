/**
 * How an output's rows lie in one array. Rows of one size are stacked, NaN where one has no values. Rows that differ in their
 * first axis (positions) lie one behind the other with offsets. What differs elsewhere is flat, with offsets and shapes.
 */
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../files/durable-file'
import type { OpenCollection } from '../collection'
import type { StoredOutput } from '../schema'
import { storedRows, streamRows, type StreamOptions } from '../stream'

export interface Layout {
  output: StoredOutput
  kind: 'stacked' | 'ragged' | 'flat'
  /** Numbers of each row; 0 where it has none (stacked: its part is NaN). */
  counts: Float64Array
  /** Of the array. */
  shape: number[]
  /** [rows + 1] along the first axis; null where stacked. */
  offsets: BigInt64Array | null
  /** [rows, axes], where flat. */
  shapes: { shape: number[]; data: BigInt64Array } | null
}

/**
 * Looks at every row, without reading its values.
 * @throws PatchbayError `run.cancelled`
 */
export async function layoutOf(
  collection: OpenCollection,
  name: string,
  rows: Int32Array,
  { signal }: Pick<StreamOptions, 'signal'> = {},
): Promise<Layout> {
  const output = collection.output(name)
  const [first, ...rest] = output.sizes
  const kind = first !== null && rest.every(isFixed) ? 'stacked' : rest.every(isFixed) ? 'ragged' : 'flat'
  const axes = output.sizes.length
  const counts = new Float64Array(rows.length)
  const shapes = new BigInt64Array(kind === 'flat' ? rows.length * axes : 0)
  let i = 0
  for await (const { stored } of storedRows(collection, rows)) {
    throwIfCancelled(signal, 'the export')
    const shape = await collection.shapeOf(stored, name)
    if (shape !== null) {
      counts[i] = shape.reduce((product, n) => product * n, 1)
      if (kind === 'flat') shape.forEach((n, axis) => (shapes[i * axes + axis] = BigInt(n)))
    }
    i++
  }
  const inner = rest.reduce<number>((product, size) => product * (size ?? 1), 1)
  if (kind === 'stacked')
    return {
      output,
      kind,
      counts,
      shape: [rows.length, first ?? 0, ...sizesOf(rest)],
      offsets: null,
      shapes: null,
    }
  const unit = kind === 'ragged' ? inner : 1
  const offsets = new BigInt64Array(rows.length + 1)
  let total = 0
  counts.forEach((count, row) => (offsets[row + 1] = BigInt((total += count / unit))))
  return {
    output,
    kind,
    counts,
    shape: kind === 'ragged' ? [total, ...sizesOf(rest)] : [total],
    offsets,
    shapes: kind === 'flat' ? { shape: [rows.length, axes], data: shapes } : null,
  }
}

const isFixed = (size: number | null): size is number => size !== null
const sizesOf = (sizes: readonly (number | null)[]): number[] => sizes.map((size) => size ?? 0)

/** Numbers of the array. */
export const sizeOfLayout = ({ shape }: Layout): number => shape.reduce((product, n) => product * n, 1)

/**
 * The array's numbers in order, an array for each row: NaN (stacked) or empty where a row has no values.
 * @throws PatchbayError `file.unreadable` where values went away since the layout was made; `run.cancelled`
 */
export async function* rowsOf(
  collection: OpenCollection,
  { output, kind, counts, shape }: Layout,
  rows: Int32Array,
  options: Pick<StreamOptions, 'signal' | 'onProgress'> = {},
): AsyncGenerator<Float32Array> {
  const places = new Map(Array.from(rows, (row, i) => [row, i]))
  const missing = new Float32Array(
    kind === 'stacked' ? shape.slice(1).reduce((product, n) => product * n, 1) : 0,
  ).fill(NaN)
  let next = 0
  const fill = function* (to: number): Generator<Float32Array> {
    for (; next < to; next++) {
      if (counts[next] !== 0) throw wentAway(output.name)
      yield missing
    }
  }
  for await (const { row, values } of streamRows(collection, output.name, { ...options, rows })) {
    const place = places.get(row) ?? 0
    yield* fill(place)
    if (values.data.length !== counts[place]) throw wentAway(output.name)
    yield values.data
    next = place + 1
  }
  yield* fill(rows.length)
}

const wentAway = (output: string): PatchbayError =>
  new PatchbayError('file.unreadable', `Values of ${output} changed while they were exported.`, {
    next: 'Pin the collection, so that its values stay, and export again.',
  })
