/** The rows of a source with their numbers. */
import type { DatasetSource } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../runtime/cancelled'
import type { ReadOptions, ReadRow, SourceRow } from '../types'
import { openSource, type OpenSource } from './open'

export interface SourceFailure {
  readonly row: number
  readonly error: PatchbayError
}

/**
 * Every row of an opened source, also those that can not be read.
 * @throws PatchbayError where a file stops being readable, naming the place; `run.cancelled`
 */
export async function* numbered(
  source: Pick<OpenSource, 'read'>,
  signal?: AbortSignal,
): AsyncGenerator<SourceRow | SourceFailure> {
  let row = 0
  for await (const batch of source.read(signal)) {
    throwIfCancelled(signal)
    for (const read of batch) yield withNumber(read, row++)
  }
}

const withNumber = (read: ReadRow, row: number): SourceRow | SourceFailure =>
  read instanceof PatchbayError ? { row, error: read } : { row, cells: read }

export interface ReadRowsOptions extends ReadOptions {
  /** Told of each row that can not be read, in order; without it the first one ends the reading. */
  onFailure?: (failure: SourceFailure) => void
}

/**
 * The rows of a data set as they are in its source, in order.
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed` naming the place, `input.invalid`, `run.cancelled`
 */
export async function* readRows(
  source: DatasetSource,
  { signal, onFailure }: ReadRowsOptions = {},
): AsyncGenerator<SourceRow> {
  for await (const item of numbered(await openSource(source), signal))
    if ('cells' in item) yield item
    else if (onFailure === undefined) throw item.error
    else onFailure(item)
}
