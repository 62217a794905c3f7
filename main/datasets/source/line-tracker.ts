/**
 * Lines of a file whose records are cut by somebody else, who only says where in the bytes they end: their numbers, and
 * which of them are not UTF-8.
 */
import { isUtf8 } from 'node:buffer'

interface Line {
  /** Byte behind its line break. */
  readonly end: number
  readonly isEmpty: boolean
  readonly isBroken: boolean
}

const newline = 0x0a
const carriageReturn = 0x0d

export interface RecordLines {
  /** Numbers from 1; empty lines before a record are not of it. */
  readonly from: number
  readonly to: number
  /** The first that is not UTF-8; null for none. */
  readonly broken: number | null
}

export class LineTracker {
  private rest: Buffer = Buffer.alloc(0)
  private offset = 0
  /** Lines that were seen and not passed yet. */
  private waiting: Line[] = []
  private head = 0
  /** Number of the line at `head`. */
  private number = 1
  private passed = 0

  /** Number of the line behind the last record. */
  get line(): number {
    return this.number
  }

  /** The next bytes of the file. */
  look(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    const end = bytes.lastIndexOf(newline) + 1
    this.cut(bytes.subarray(0, end))
    this.rest = bytes.subarray(end)
  }

  /** The file's end. */
  finish(): void {
    if (this.rest.length > 0) this.add(this.rest, this.rest.length, !isUtf8(this.rest))
  }

  /** Passes the record that ends at this byte. */
  record(end: number): RecordLines {
    while (this.waiting[this.head]?.isEmpty && this.waiting[this.head].end < end) this.next()
    const from = this.number
    let to = from
    let broken: number | null = null
    for (let line = this.waiting[this.head]; line !== undefined; line = this.waiting[this.head]) {
      // A line that goes on behind the record's end is its last one, if the record has a part of it.
      if (line.end > end && this.passed >= end) break
      to = this.number
      if (line.isBroken) broken ??= this.number
      if (line.end > end) break
      this.next()
    }
    return { from, to, broken }
  }

  private next(): void {
    this.passed = this.waiting[this.head].end
    this.head++
    this.number++
    if (this.head < 4096) return
    this.waiting = this.waiting.slice(this.head)
    this.head = 0
  }

  private cut(bytes: Buffer): void {
    const valid = isUtf8(bytes)
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(newline, from) + 1
      const line = bytes.subarray(from, end)
      this.add(line, line.length, !valid && !isUtf8(line))
      from = end
    }
  }

  private add(line: Buffer, length: number, isBroken: boolean): void {
    this.offset += length
    const isEmpty = line[0] === newline || (line[0] === carriageReturn && line[1] === newline)
    this.waiting.push({ end: this.offset, isEmpty, isBroken })
  }
}
