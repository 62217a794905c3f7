/** A data set's source, opened: which files it is made of, how they are read, and their rows one after the other. */
import type { DatasetFormat, DatasetSource } from '../../../preload/datasets'
import { throwIfCancelled } from '../../runtime/cancelled'
import type { ReadRow } from '../types'
import { readArrow } from './arrow'
import type { DataFile } from './bytes'
import { readDelimited } from './csv'
import { readFolder } from './folder'
import { readJson } from './jsonl'
import { parquetRowCount, readParquet } from './parquet'
import { readDocument, readParagraphs, readTextLines } from './plain-text'
import { resolveFiles } from './resolve'

export interface OpenSource {
  readonly format: DatasetFormat | 'rows'
  readonly files: readonly { path: string; bytes: number }[]
  /** How many rows there are, where that is known without reading them. */
  count(): Promise<number | null>
  /** All rows in order, in batches. Ends with an error where a file stops being readable. */
  read(signal?: AbortSignal): AsyncIterable<ReadRow[]>
}

type Reader = (file: DataFile, signal?: AbortSignal) => AsyncIterable<ReadRow[]>

const readers: Record<Exclude<DatasetFormat, 'folder'>, Reader> = {
  jsonl: readJson,
  csv: (file, signal) => readDelimited(file, ',', signal),
  tsv: (file, signal) => readDelimited(file, '\t', signal),
  parquet: (file, signal) => readParquet(file, signal),
  arrow: readArrow,
  lines: readTextLines,
  paragraphs: readParagraphs,
  document: readDocument,
}

/**
 * Looks at what the source is; rows are not read yet.
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed` for what is no data, `input.invalid` for a
 * folder with several kinds of data
 */
export async function openSource(source: DatasetSource): Promise<OpenSource> {
  if (source.kind === 'rows') {
    const { rows } = source
    return {
      format: 'rows',
      files: [],
      count: () => Promise.resolve(rows.length),
      read: () => inBatches(rows),
    }
  }
  const { format, files, root } = await resolveFiles(source.path, source.format)
  if (format === 'folder')
    return {
      format,
      files,
      count: () => Promise.resolve(files.length),
      read: (signal) => readFolder(root, files, signal),
    }
  const read = readers[format]
  return {
    format,
    files: files.map(({ path, bytes }) => ({ path, bytes })),
    count: async () => (format === 'parquet' ? sum(await Promise.all(files.map(parquetRowCount))) : null),
    async *read(signal) {
      for (const file of files) {
        throwIfCancelled(signal)
        yield* read(file, signal)
      }
    },
  }
}

async function* inBatches(rows: readonly ReadRow[]): AsyncGenerator<ReadRow[]> {
  yield await Promise.resolve([...rows])
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0)
