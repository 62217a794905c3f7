/**
 * The residual streams of a data set on disk, while it is carried through one block after the other. Each part of the data
 * set has a place in each of four files that are used in turn, so that the inputs of the last four blocks are there: a
 * part is computed again from the newest whose outputs are stored. Files are written over in place and not synced: what is
 * not whole, or not what it says, does not agree with its checksum and is made again.
 */
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError } from '../../preload/errors'
import { asBytes, crc32 } from '../cache/store/checksum'

/** Files that take turns. */
export const TURNS = 4
/** Of a place: magic, the block, and the checksum of both with what the file is of, and of the values. */
const HEADER_BYTES = 12
const MAGIC = 0x50425253

export interface SpillOptions {
  readonly folder: string
  /** What the streams are of: rows, model and parts. Of anything else nothing is read. */
  readonly identity: string
  /** Numbers of each part's residual stream. */
  readonly sizes: readonly number[]
}

export class ResidualSpill {
  readonly #offsets: number[] = []
  #closed = false

  private constructor(
    private readonly options: SpillOptions,
    private readonly files: readonly FileHandle[],
  ) {
    let at = 0
    for (const size of options.sizes) {
      this.#offsets.push(at)
      at += HEADER_BYTES + 4 * size
    }
  }

  /** Bytes on disk at most. */
  static bytesOf(sizes: readonly number[]): number {
    return TURNS * sizes.reduce((sum, size) => sum + HEADER_BYTES + 4 * size, 0)
  }

  /** @throws PatchbayError `disk.failed`, `file.unreadable` */
  static async open(options: SpillOptions): Promise<ResidualSpill> {
    const files: FileHandle[] = []
    try {
      await mkdir(options.folder, { recursive: true })
      for (let turn = 0; turn < TURNS; turn++) files.push(await openOrMake(fileOf(options.folder, turn)))
      return new ResidualSpill(options, files)
    } catch (error) {
      await Promise.all(files.map((file) => file.close()))
      throw asPatchbayError(error)
    }
  }

  /** Blocks whose inputs a part says that it has, the latest first; whether it is true shows when they are read. */
  async blocksOf(part: number): Promise<number[]> {
    const found: number[] = []
    for (const [turn, file] of this.files.entries()) {
      const header = Buffer.alloc(HEADER_BYTES)
      const { bytesRead } = await file.read(header, 0, HEADER_BYTES, this.#offsets[part])
      const block = header.readUInt32LE(4)
      if (bytesRead === HEADER_BYTES && header.readUInt32LE(0) === MAGIC && block % TURNS === turn)
        found.push(block)
    }
    return found.sort((a, b) => b - a)
  }

  /** The input of a block, or null where it is not there, or not whole. @throws PatchbayError `disk.failed` */
  async read(part: number, block: number): Promise<Float32Array | null> {
    const file = this.files[block % TURNS]
    const header = Buffer.alloc(HEADER_BYTES)
    const data = new Float32Array(this.options.sizes[part])
    const at = this.#offsets[part]
    try {
      const [first, second] = await Promise.all([
        file.read(header, 0, HEADER_BYTES, at),
        file.read(asBytes(data), 0, data.byteLength, at + HEADER_BYTES),
      ])
      const whole = first.bytesRead === HEADER_BYTES && second.bytesRead === data.byteLength
      return whole && header.equals(this.#header(part, block, data)) ? data : null
    } catch (error) {
      throw asPatchbayError(error)
    }
  }

  /**
   * Keeps the input of a block; that of four blocks before is gone then. The array must not change until this is done.
   * @throws PatchbayError `disk.full`, `disk.failed`
   */
  async write(part: number, block: number, data: Float32Array): Promise<void> {
    const file = this.files[block % TURNS]
    const at = this.#offsets[part]
    try {
      await Promise.all([
        writeAll(file, this.#header(part, block, data), at),
        writeAll(file, asBytes(data), at + HEADER_BYTES),
      ])
    } catch (error) {
      throw asPatchbayError(error)
    }
  }

  /** May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all(this.files.map((file) => file.close()))
  }

  /** Closes and deletes the files. */
  async remove(): Promise<void> {
    await this.close()
    for (let turn = 0; turn < TURNS; turn++) await rm(fileOf(this.options.folder, turn), { force: true })
  }

  #header(part: number, block: number, data: Float32Array): Buffer {
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt32LE(MAGIC, 0)
    header.writeUInt32LE(block, 4)
    const named = crc32(`${this.options.identity} ${part} ${block}`)
    header.writeUInt32LE(crc32(asBytes(data), named), 8)
    return header
  }
}

const fileOf = (folder: string, turn: number): string => path.join(folder, `stream-${turn}.bin`)

async function openOrMake(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r+')
  } catch (error) {
    if (asPatchbayError(error).code !== 'file.missing') throw error
    return open(file, 'w+')
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
