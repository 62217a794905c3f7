/** Reading many rows' values in order, some rows ahead of who takes them, with memory for those few only. */
import { throwIfCancelled } from '../files/durable-file'
import type { Slice, StoredValues } from '../cache/store/store'
import type { OpenCollection } from './collection'
import type { StoredRow } from './schema'

export interface Progress {
  done: number
  total: number
}

export interface StreamOptions {
  /** Ascending; all rows unless given. */
  rows?: Int32Array | null
  /** Of the values of a row; all of them unless given. Null for a row that is skipped. */
  slice?: (row: StoredRow) => Slice | null
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
}

export interface RowValues {
  row: number
  stored: StoredRow
  values: StoredValues
}

/** Rows that are read at once: enough that the disk is not waited for row by row. */
const AHEAD = 16

/** Rows by number, read together where they lie near one another. */
export async function* storedRows(
  collection: OpenCollection,
  rows: Int32Array | null | undefined,
): AsyncGenerator<{ row: number; stored: StoredRow }> {
  let i = 0
  if (rows === null || rows === undefined)
    for await (const stored of collection.rows()) yield { row: i++, stored }
  else for await (const stored of collection.rowsAt(rows)) yield { row: rows[i++], stored }
}

/**
 * The values of rows at an output, in order; rows whose values are not there are left out.
 * @throws PatchbayError `run.cancelled`, `file.unreadable`
 */
export async function* streamRows(
  collection: OpenCollection,
  output: string,
  { rows, slice, signal, onProgress }: StreamOptions = {},
): AsyncGenerator<RowValues> {
  collection.output(output)
  const total = rows?.length ?? collection.length
  let done = 0
  let ahead: Promise<RowValues | null>[] = []
  const give = async function* (): AsyncGenerator<RowValues> {
    const read = await Promise.all(ahead)
    ahead = []
    throwIfCancelled(signal, 'the collection')
    for (const each of read) if (each !== null) yield each
    done += read.length
    onProgress?.({ done, total })
  }
  for await (const { row, stored } of storedRows(collection, rows)) {
    ahead.push(valuesOf(collection, output, row, stored, slice))
    if (ahead.length === AHEAD) yield* give()
  }
  yield* give()
}

async function valuesOf(
  collection: OpenCollection,
  output: string,
  row: number,
  stored: StoredRow,
  slice: StreamOptions['slice'],
): Promise<RowValues | null> {
  const part = slice === undefined ? [] : slice(stored)
  if (part === null) return null
  const values = await collection.valuesOf(stored, output, part)
  return values === null ? null : { row, stored, values }
}
