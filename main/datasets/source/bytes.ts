/** The bytes of a file in chunks, unpacked where it is a .gz: memory stays bounded however large the file is. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { malformed } from '../../models/formats/malformed'
import { PositionalFile } from '../../models/formats/positional-file'
import { throwIfCancelled } from '../../runtime/cancelled'
import { chunkBytes } from '../limits'

export interface DataFile {
  /** As it was given: errors name it so. */
  readonly path: string
  readonly bytes: number
  readonly gzip: boolean
}

/**
 * @returns chunks in order, each in memory of its own
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed` where a .gz is damaged, `run.cancelled`
 */
export async function* bytesOf(file: DataFile, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const plain = plainBytes(file.path, signal)
  yield* file.gzip ? unpacked(file.path, plain) : plain
}

async function* plainBytes(path: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const file = await PositionalFile.open(path)
  try {
    for (let at = 0; at < file.size; at += chunkBytes) {
      throwIfCancelled(signal)
      // Not from the pool: what is cut out of a chunk may be kept.
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, file.size - at))
      await file.readInto(chunk, at)
      yield chunk
    }
  } finally {
    await file.close()
  }
}

async function* unpacked(path: string, packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: chunkBytes })
  // Its failure destroys `gunzip`, so that the loop below throws it.
  const done = pipeline(Readable.from(packed, { objectMode: true }), gunzip).catch(() => undefined)
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) yield chunk
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_'))
      throw malformed(path, `it can not be unpacked (${cause.message})`, { cause })
    throw cause
  } finally {
    gunzip.destroy()
    await done
  }
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

/** The bytes of a text file, without a byte order mark. @throws PatchbayError as `bytesOf`, `file.malformed` for UTF-16 */
export async function* textBytesOf(file: DataFile, signal?: AbortSignal): AsyncGenerator<Buffer> {
  let first = true
  for await (const chunk of bytesOf(file, signal)) {
    if (!first) {
      yield chunk
      continue
    }
    first = false
    if ((chunk[0] === 0xff && chunk[1] === 0xfe) || (chunk[0] === 0xfe && chunk[1] === 0xff))
      throw malformed(file.path, 'it is UTF-16 text', { next: 'Save it as UTF-8.' })
    yield chunk.subarray(0, 3).equals(byteOrderMark) ? chunk.subarray(3) : chunk
  }
}
