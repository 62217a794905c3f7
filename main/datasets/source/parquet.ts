/**
 * Parquet through hyparquet: one row group, or a part of a large one, is decoded at a time. Texts that are not UTF-8 make
 * their row an error; columns of bytes are empty.
 */
import { parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet'
import type { AsyncBuffer, FileMetaData, ParquetScan, SchemaTree } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { PatchbayError } from '../../../preload/errors'
import { malformed, quoted } from '../../models/formats/malformed'
import { PositionalFile } from '../../models/formats/positional-file'
import { throwIfCancelled } from '../../runtime/cancelled'
import { decodedTogether, largestBlock, mostColumns } from '../limits'
import type { ReadRow } from '../types'
import type { DataFile } from './bytes'
import { cellsOf } from './cells'

/** Stands for bytes that are no text, where a text was expected. */
class NotText {
  toJSON(): null {
    return null
  }
}
const notText = new NotText()
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array | undefined): string | NotText | undefined {
  if (bytes === undefined) return undefined
  try {
    return utf8.decode(bytes)
  } catch {
    return notText // the row says so, or the column is one of bytes
  }
}
/** JSON stays the text that it is. */
const parsers = { stringFromBytes: textOf, jsonFromBytes: textOf }

/** How many rows the file says it has. @throws PatchbayError as `readParquet` */
export async function parquetRowCount(file: DataFile): Promise<number> {
  const { metadata, close } = await openParquet(file)
  await close()
  return Number(metadata.num_rows)
}

/**
 * @param together bytes, before compression, of the rows that are decoded together
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed` naming the rows, `run.cancelled`
 */
export async function* readParquet(
  file: DataFile,
  signal?: AbortSignal,
  together = decodedTogether,
): AsyncGenerator<ReadRow[]> {
  const { source, metadata, close } = await openParquet(file)
  try {
    const { columns, scan } = await attempt(file, null, async () => ({
      columns: parquetSchema(metadata).children.map(columnOf),
      scan: await parquetScan({ file: source, metadata, compressors: bounded, parsers }),
    }))
    if (columns.length > mostColumns) throw malformed(file.path, `it has ${columns.length} columns`)
    let first = 0
    for (const group of metadata.row_groups) {
      const rows = Number(group.num_rows)
      const parts = Math.max(1, Math.ceil(Number(group.total_byte_size) / together))
      const step = Math.max(1, Math.ceil(rows / parts))
      for (let from = 0; from < rows; from += step) {
        throwIfCancelled(signal)
        const range = { rowStart: first + from, rowEnd: first + Math.min(rows, from + step) }
        yield await attempt(file, range.rowStart, () => rowsOf(file, scan, columns, range))
      }
      first += rows
    }
  } finally {
    await close()
  }
}

interface ParquetColumn {
  readonly name: string
  /** Whether something in it may be bytes: not marked as text, though older writers mean text. */
  readonly mayBeBytes: boolean
}

function columnOf(tree: SchemaTree): ParquetColumn {
  return { name: tree.element.name, mayBeBytes: holdsBytes(tree) }
}

function holdsBytes({ element, children }: SchemaTree): boolean {
  if (children.length > 0) return children.some(holdsBytes)
  const isText = ['UTF8', 'JSON', 'ENUM'].includes(element.converted_type ?? '')
  return element.type === 'BYTE_ARRAY' && !isText && element.logical_type?.type !== 'STRING'
}

async function rowsOf(
  file: DataFile,
  scan: ParquetScan,
  columns: readonly ParquetColumn[],
  range: { rowStart: number; rowEnd: number },
): Promise<ReadRow[]> {
  const count = range.rowEnd - range.rowStart
  const data: ArrayLike<unknown>[] = []
  for (const { name } of columns) {
    const values: ArrayLike<unknown> = await scan.readColumn({ column: name, ...range })
    if (values.length !== count)
      throw new Error(`${count} values are promised of a column that has ${values.length}`)
    data.push(values)
  }
  return Array.from({ length: count }, (_, i): ReadRow => {
    const broken = columns.find(({ mayBeBytes }, c) => !mayBeBytes && holdsNoText(data[c][i]))
    if (broken !== undefined) return notUtf8(file, range.rowStart + i, broken.name)
    return cellsOf(columns.map(({ name }, c) => [name, data[c][i] === notText ? null : data[c][i]]))
  })
}

function holdsNoText(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  return value === notText || Object.values(value).some(holdsNoText)
}

const notUtf8 = (file: DataFile, row: number, column: string): PatchbayError =>
  malformed(file.path, `${quoted(column)} of row ${row} is not UTF-8 text`, {
    field: `row ${row}`,
    next: 'Write the file again with text in it.',
  })

/** hyparquet allocates what a page's header says: sizes that no sane writer gives are refused before. */
const bounded: typeof compressors = Object.fromEntries(
  Object.entries(compressors).map(([name, decompress]) => [
    name,
    (input: Uint8Array, size: number) => {
      if (size > largestBlock) throw new Error(`a page of ${size} bytes`)
      return decompress(input, size)
    },
  ]),
)

interface OpenParquet {
  readonly source: AsyncBuffer
  readonly metadata: FileMetaData
  readonly close: () => Promise<void>
}

async function openParquet(file: DataFile): Promise<OpenParquet> {
  if (file.gzip)
    throw malformed(file.path, 'a Parquet file can not be read out of a .gz', { next: 'Unpack it first.' })
  const opened = await PositionalFile.open(file.path)
  const source: AsyncBuffer = {
    byteLength: opened.size,
    slice: async (start, end = opened.size) =>
      (await opened.read(start, Math.max(0, Math.min(end, opened.size) - start))).buffer,
  }
  try {
    const metadata = await attempt(file, null, () => parquetMetadataAsync(source, { geoparquet: false }))
    return { source, metadata, close: () => opened.close() }
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** What hyparquet throws is said in words, with the place. */
async function attempt<T>(file: DataFile, row: number | null, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof PatchbayError) throw cause
    const problem = cause instanceof Error ? cause.message.slice(0, 200) : String(cause)
    const place = row === null ? {} : { field: `row ${row}` }
    throw malformed(
      file.path,
      row === null
        ? `it can not be read as Parquet (${problem})`
        : `it stops being readable at row ${row} (${problem})`,
      { ...place, cause },
    )
  }
}
