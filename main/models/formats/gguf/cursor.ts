/**
 * Reads a GGUF header from front to back through a small window over the file: metadata may be many megabytes (a token
 * list), and a file may promise any number of bytes. Nothing is allocated before the file is known to have it.
 */
import { isUtf8 } from 'node:buffer'
import { malformed } from '../malformed'
import type { PositionalFile } from '../positional-file'

const windowBytes = 256 * 1024

export class Cursor {
  private window = Buffer.alloc(0)
  /** File offset of the window's first byte. */
  private start = 0
  private at = 0
  /** How many strings so far were not UTF-8. */
  invalidTexts = 0
  /** How many arrays inside of arrays so far; counted by the reader of arrays. */
  nestedArrays = 0

  constructor(private readonly source: PositionalFile) {}

  /** Bytes from the start of the file. */
  get offset(): number {
    return this.start + this.at
  }

  get remaining(): number {
    return this.source.size - this.offset
  }

  /** Whether `bytes` more are in the window already: then the readers below may be called without `fill`. */
  has(bytes: number): boolean {
    return this.at + bytes <= this.window.length
  }

  /**
   * Makes the next `bytes` available to the readers below.
   * @param what is being read, for the error
   * @throws PatchbayError `file.malformed` where the file ends before
   */
  async fill(bytes: number, what: string): Promise<void> {
    if (this.has(bytes)) return
    if (bytes > this.remaining) throw this.error(`ends inside of ${what}`, what)
    const offset = this.offset
    this.window = Buffer.from(
      (await this.source.read(offset, Math.min(Math.max(bytes, windowBytes), this.remaining))).buffer,
    )
    this.start = offset
    this.at = 0
  }

  /** Fills `target` with the next bytes: from the window what it has, the rest straight from the file. */
  async readInto(target: Uint8Array, what: string): Promise<void> {
    if (target.length > this.remaining) throw this.error(`ends inside of ${what}`, what)
    const here = this.window.subarray(this.at, this.at + target.length)
    target.set(here)
    this.at += here.length
    if (here.length === target.length) return
    await this.source.readInto(target.subarray(here.length), this.offset)
    this.start = this.offset + target.length - here.length
    this.window = Buffer.alloc(0)
    this.at = 0
  }

  /** The next `bytes` as text; what is not UTF-8 becomes U+FFFD and is counted. */
  text(bytes: number): string {
    const end = this.at + bytes
    const text = this.window.toString('utf8', this.at, end)
    if (text.includes('\ufffd') && !isUtf8(this.window.subarray(this.at, end))) this.invalidTexts++
    this.at = end
    return text
  }

  u8 = (): number => this.window.readUInt8(this.move(1))
  i8 = (): number => this.window.readInt8(this.move(1))
  u16 = (): number => this.window.readUInt16LE(this.move(2))
  i16 = (): number => this.window.readInt16LE(this.move(2))
  u32 = (): number => this.window.readUInt32LE(this.move(4))
  i32 = (): number => this.window.readInt32LE(this.move(4))
  f32 = (): number => this.window.readFloatLE(this.move(4))
  f64 = (): number => this.window.readDoubleLE(this.move(8))
  u64 = (): bigint => this.window.readBigUInt64LE(this.move(8))
  i64 = (): bigint => this.window.readBigInt64LE(this.move(8))

  /** A u64 as a number; those beyond 2^53 lose digits but stay larger than any file. */
  length(): number {
    const low = this.u32()
    return low + this.u32() * 2 ** 32
  }

  error(problem: string, field?: string, offset = this.offset) {
    return malformed(this.source.path, problem, { field, offset })
  }

  private move(bytes: number): number {
    const from = this.at
    this.at += bytes
    return from
  }
}
