/**
 * Arrow IPC as `datasets` saves it (streams) and Feather files: one record batch at a time. The framing is read here
 * (Arrow columnar format, "Encapsulated message format"), what is in a message by flechette.
 */
import { tableFromIPC } from '@uwdata/flechette'
import { PatchbayError } from '../../../preload/errors'
import { malformed } from '../../models/formats/malformed'
import { PositionalFile } from '../../models/formats/positional-file'
import { throwIfCancelled } from '../../runtime/cancelled'
import { largestBlock, mostColumns } from '../limits'
import type { ReadRow } from '../types'
import type { DataFile } from './bytes'
import { checkBatch } from './arrow-batch'
import { messageKinds, readHeader, type ArrowHeader } from './arrow-header'
import { cellsOf } from './cells'

interface Message {
  readonly bytes: Uint8Array
  readonly kind: number
  readonly next: number
}

/** @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed` naming the byte, `run.cancelled` */
export async function* readArrow(file: DataFile, signal?: AbortSignal): AsyncGenerator<ReadRow[]> {
  if (file.gzip)
    throw malformed(file.path, 'an Arrow file can not be read out of a .gz', { next: 'Unpack it first.' })
  const opened = await PositionalFile.open(file.path)
  try {
    const magic = Buffer.from(await opened.read(0, Math.min(6, opened.size))).toString('latin1')
    /** Without it a batch can not be read. */
    let schema: Uint8Array | null = null
    let at = magic === 'ARROW1' ? 8 : 0
    for (let message = await messageAt(opened, file, at); message !== null;) {
      throwIfCancelled(signal)
      if (message.kind === messageKinds.schema) schema = message.bytes
      else if (message.kind === messageKinds.dictionary)
        throw malformed(file.path, 'it has columns that are encoded with a dictionary', {
          next: 'Save it as Parquet, or decode these columns first.',
        })
      else if (message.kind === messageKinds.batch && schema !== null)
        yield* rowsOf(file, [schema, message.bytes], at)
      at = message.next
      message = await messageAt(opened, file, at)
    }
    if (schema === null) throw malformed(file.path, 'it has no Arrow schema')
  } finally {
    await opened.close()
  }
}

/** Null at the end of the stream. */
async function messageAt(opened: PositionalFile, file: DataFile, at: number): Promise<Message | null> {
  if (at + 8 > opened.size) {
    if (at === opened.size) return null
    throw malformed(file.path, 'it ends inside a message', { offset: at })
  }
  const prefix = new DataView((await opened.read(at, 8)).buffer)
  if (prefix.getUint32(0, true) !== 0xffffffff)
    throw malformed(file.path, 'an Arrow message was expected', { offset: at })
  const headerSize = prefix.getInt32(4, true)
  if (headerSize === 0) return null
  if (headerSize < 0 || headerSize > largestBlock)
    throw malformed(file.path, `a message of ${headerSize} bytes`, { offset: at })
  const { kind, bodySize } = headerOf(await opened.read(at + 8, headerSize), file, at)
  if (bodySize < 0 || bodySize > largestBlock)
    throw malformed(file.path, `a record batch of ${bodySize} bytes`, {
      offset: at,
      next: `Write it in batches of less than ${largestBlock / 2 ** 20} MB.`,
    })
  const size = 8 + headerSize + bodySize
  return { bytes: await opened.read(at, size), kind, next: at + size }
}

function headerOf(bytes: Uint8Array, file: DataFile, at: number): ArrowHeader {
  try {
    return readHeader(bytes)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw malformed(file.path, `the header of a message is damaged (${problem})`, { offset: at, cause })
  }
}

const rowsTogether = 1000

function* rowsOf(
  file: DataFile,
  messages: [schema: Uint8Array, batch: Uint8Array],
  at: number,
): Generator<ReadRow[]> {
  try {
    const table = tableFromIPC(messages, { useDate: true, useBigInt: true })
    if (table.numCols > mostColumns) throw malformed(file.path, `it has ${table.numCols} columns`)
    const most = Math.max(10_000, messages[1].length * 8)
    const columns = table.names.map((name, i) => ({ name, column: table.getChildAt<unknown>(i) }))
    for (const { column } of columns) for (const batch of column.data) checkBatch(batch, table.numRows, most)
    for (let from = 0; from < table.numRows; from += rowsTogether)
      yield Array.from({ length: Math.min(rowsTogether, table.numRows - from) }, (_, i) =>
        cellsOf(columns.map(({ name, column }) => [name, column.at(from + i)])),
      )
  } catch (cause) {
    if (cause instanceof PatchbayError) throw cause
    const problem = cause instanceof Error ? cause.message.slice(0, 200) : String(cause)
    throw malformed(file.path, `a record batch can not be read (${problem})`, { offset: at, cause })
  }
}
