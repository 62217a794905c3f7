/**
 * How an output's rows lie in one array. Rows of one size are stacked, NaN where one has no values. Rows that differ in their
 * first axis (positions) lie one behind the other with offsets. What differs elsewhere is flat, with offsets and shapes.
 */
import type { CollectionExport, ExportType } from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../files/durable-file'
import type { EntryStorage } from '../../cache/store/entry'
import type { OpenCollection } from '../collection'
import type { StoredOutput } from '../schema'
import { storedRows, streamRows, type StreamOptions } from '../stream'
import { hasExactly, valueType, type ValueType } from './value-type'

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
  /** Of the numbers as they are written. */
  type: ValueType
}

/**
 * Looks at every row, without reading its values.
 * @param asked the format, and which type of numbers
 * @throws PatchbayError `run.cancelled`
 */
export async function layoutOf(
  collection: OpenCollection,
  name: string,
  rows: Int32Array,
  asked: { format: CollectionExport; dtype: ExportType },
  { signal }: Pick<StreamOptions, 'signal'> = {},
): Promise<Layout> {
  const output = collection.output(name)
  const [first, ...rest] = output.sizes
  const kind = first !== null && rest.every(isFixed) ? 'stacked' : rest.every(isFixed) ? 'ragged' : 'flat'
  const axes = output.sizes.length
  const counts = new Float64Array(rows.length)
  const shapes = new BigInt64Array(kind === 'flat' ? rows.length * axes : 0)
  const storages = new Set<EntryStorage>()
  let i = 0
  for await (const { stored } of storedRows(collection, rows)) {
    throwIfCancelled(signal, 'the export')
    const form = await collection.formOf(stored, name)
    if (form !== null) {
      const { shape, storage } = form
      storages.add(storage)
      counts[i] = shape.reduce((product, n) => product * n, 1)
      if (kind === 'flat') shape.forEach((n, axis) => (shapes[i * axes + axis] = BigInt(n)))
    }
    i++
  }
  const type = valueType(storages, asked)
  const inner = rest.reduce<number>((product, size) => product * (size ?? 1), 1)
  if (kind === 'stacked')
    return {
      output,
      kind,
      counts,
      shape: [rows.length, first ?? 0, ...sizesOf(rest)],
      offsets: null,
      shapes: null,
      type,
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
    type,
  }
}

const isFixed = (size: number | null): size is number => size !== null
const sizesOf = (sizes: readonly (number | null)[]): number[] => sizes.map((size) => size ?? 0)

/** Numbers of the array. */
export const sizeOfLayout = ({ shape }: Layout): number => shape.reduce((product, n) => product * n, 1)

/**
 * The array's numbers in order, an array for each row: NaN (stacked) or empty where a row has no values. The type that they
 * are written in has exactly these.
 * @throws PatchbayError `file.unreadable` where values went away since the layout was made; `run.cancelled`
 */
export async function* rowsOf(
  collection: OpenCollection,
  { output, kind, counts, shape, type }: Layout,
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
    if (values.data.length !== counts[place] || !hasExactly(values.data, type)) throw wentAway(output.name)
    yield values.data
    next = place + 1
  }
  yield* fill(rows.length)
}

const wentAway = (output: string): PatchbayError =>
  new PatchbayError('file.unreadable', `Values of ${output} changed while they were exported.`, {
    next: 'Pin the collection, so that its values stay, and export again.',
  })
