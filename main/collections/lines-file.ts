/** Files of JSON lines that are written once and then read by line number; their hash says whether they are what was written. */
import { createHash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import type { z } from 'zod'
import { writeDurably } from '../files/durable-file'
import { malformed, readFailure } from '../models/formats/malformed'
import type { LinesFile as LinesFacts } from './schema'

const WRITTEN_TOGETHER = 1 << 20
const READ_TOGETHER = 4 << 20
/** Bytes between two lines that are rather read along than skipped by another read. */
const READ_ALONG = 64 << 10
const LINE_FEED = 10

/**
 * Writes values as lines, whole or not at all.
 * @throws PatchbayError `disk.full`, `disk.failed`, `run.cancelled`, or what `values` throws
 */
export async function writeLines(
  file: string,
  values: AsyncIterable<unknown> | Iterable<unknown>,
  signal?: AbortSignal,
): Promise<LinesFacts> {
  const hash = createHash('sha256')
  let lines = 0
  let bytes = 0
  await writeDurably(
    file,
    async (append) => {
      let waiting = ''
      const flush = async (): Promise<void> => {
        const chunk = Buffer.from(waiting)
        waiting = ''
        hash.update(chunk)
        bytes += chunk.length
        await append(chunk)
      }
      for await (const value of values) {
        waiting += `${JSON.stringify(value)}\n`
        lines++
        if (waiting.length >= WRITTEN_TOGETHER) await flush()
      }
      await flush()
    },
    { signal },
  )
  return { lines, bytes, sha256: hash.digest('hex') }
}

export class LinesReader<T> {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    /** Where each line begins, and the end. */
    private readonly offsets: Float64Array,
    private readonly schema: z.ZodType<T>,
  ) {}

  /**
   * Opens a file after reading all of it once.
   * @throws PatchbayError `file.missing`, `file.unreadable`; `file.malformed` where it is not what was written
   */
  static async open<T>(path: string, facts: LinesFacts, schema: z.ZodType<T>): Promise<LinesReader<T>> {
    const handle = await open(path, 'r').catch((error: unknown) => {
      throw readFailure(path, error)
    })
    try {
      return new LinesReader(path, handle, await offsetsOf(handle, path, facts), schema)
    } catch (error) {
      await handle.close()
      throw readFailure(path, error)
    }
  }

  get lines(): number {
    return this.offsets.length - 1
  }

  /** Lines [from, to), read together in pieces of some megabytes. */
  async *read(from = 0, to = this.lines): AsyncGenerator<T> {
    for (let start = from; start < to;) {
      let end = start + 1
      while (end < to && this.offsets[end + 1] - this.offsets[start] <= READ_TOGETHER) end++
      const bytes = await this.bytes(start, end)
      for (let line = start; line < end; line++)
        yield this.parse(
          bytes.subarray(
            this.offsets[line] - this.offsets[start],
            this.offsets[line + 1] - this.offsets[start],
          ),
          line,
        )
      start = end
    }
  }

  /** Some lines, in their order; those that follow and lie near each other are read together. */
  async *pick(lines: Int32Array): AsyncGenerator<T> {
    const { offsets } = this
    for (let i = 0; i < lines.length;) {
      const start = offsets[lines[i]]
      let end = i + 1
      while (
        end < lines.length &&
        lines[end] > lines[end - 1] &&
        offsets[lines[end] + 1] - start <= READ_TOGETHER &&
        offsets[lines[end]] - offsets[lines[end - 1] + 1] <= READ_ALONG
      )
        end++
      const bytes = await this.bytes(lines[i], lines[end - 1] + 1)
      for (; i < end; i++)
        yield this.parse(bytes.subarray(offsets[lines[i]] - start, offsets[lines[i] + 1] - start), lines[i])
    }
  }

  async line(line: number): Promise<T> {
    return this.parse(await this.bytes(line, line + 1), line)
  }

  async close(): Promise<void> {
    await this.handle.close()
  }

  private async bytes(from: number, to: number): Promise<Buffer> {
    const start = this.offsets[from]
    const bytes = Buffer.allocUnsafe(this.offsets[to] - start)
    let done = 0
    while (done < bytes.length) {
      const { bytesRead } = await this.handle
        .read(bytes, done, bytes.length - done, start + done)
        .catch((error: unknown) => {
          throw readFailure(this.path, error)
        })
      if (bytesRead === 0) throw malformed(this.path, 'has become shorter', { offset: start + done })
      done += bytesRead
    }
    return bytes
  }

  private parse(bytes: Uint8Array, line: number): T {
    let json: unknown
    try {
      json = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
    } catch (cause) {
      throw malformed(this.path, `line ${line + 1} is not JSON`, { offset: this.offsets[line], cause })
    }
    const parsed = this.schema.safeParse(json)
    if (parsed.success) return parsed.data
    throw malformed(this.path, `line ${line + 1} is not what belongs there`, {
      offset: this.offsets[line],
      cause: parsed.error,
    })
  }
}

async function offsetsOf(handle: FileHandle, path: string, facts: LinesFacts): Promise<Float64Array> {
  const { size } = await handle.stat()
  const damaged = () =>
    malformed(path, 'has changed or was damaged since it was written', {
      next: 'Remove the collection and extract it again.',
    })
  if (size !== facts.bytes || facts.lines > facts.bytes) throw damaged()
  const hash = createHash('sha256')
  const offsets = new Float64Array(facts.lines + 1)
  const buffer = Buffer.allocUnsafe(Math.min(READ_TOGETHER, Math.max(1, size)))
  let line = 0
  for (let at = 0; at < size;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) throw damaged()
    const bytes = buffer.subarray(0, bytesRead)
    hash.update(bytes)
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, end + 1)) {
      if (line >= facts.lines) throw damaged()
      offsets[++line] = at + end + 1
    }
    at += bytesRead
  }
  if (line !== facts.lines || hash.digest('hex') !== facts.sha256) throw damaged()
  return offsets
}
