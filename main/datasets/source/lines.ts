/**
 * Lines of UTF-8 text, a batch for each chunk of the file. A line that is not UTF-8, or endless, is an error in its place
 * and the lines behind it go on.
 */
import { isUtf8 } from 'node:buffer'
import type { PatchbayError } from '../../../preload/errors'
import { malformed } from '../../models/formats/malformed'
import { largestRow } from '../limits'
import { textBytesOf, type DataFile } from './bytes'

export interface LineBatch {
  /** Number of the first line, from 1. */
  readonly first: number
  /** Without their line breaks (LF or CRLF). */
  readonly lines: readonly (string | PatchbayError)[]
}

const newline = 0x0a

/** @throws PatchbayError as `textBytesOf` */
export async function* linesOf(file: DataFile, signal?: AbortSignal): AsyncGenerator<LineBatch> {
  let first = 1
  /** Chunks of a line whose end was not seen yet; null where it is too long to keep. */
  let begun: Buffer[] | null = []
  let size = 0
  for await (const chunk of textBytesOf(file, signal)) {
    const end = chunk.lastIndexOf(newline)
    if (end < 0) {
      begun = keep(begun, size, chunk)
      size += chunk.length
      continue
    }
    const lines: (string | PatchbayError)[] = []
    let from = 0
    if (size > 0) {
      from = chunk.indexOf(newline) + 1
      const last = chunk.subarray(0, from - 1)
      const whole: Buffer[] | null = keep(begun, size, last)
      lines.push(whole === null ? tooLong(file, first) : lineOf(file, Buffer.concat(whole), first))
    }
    if (from <= end) pushLines(file, chunk.subarray(from, end), first, lines)
    yield { first, lines }
    first += lines.length
    const rest = chunk.subarray(end + 1)
    begun = [rest]
    size = rest.length
  }
  if (size === 0) return
  yield { first, lines: [begun === null ? tooLong(file, first) : lineOf(file, Buffer.concat(begun), first)] }
}

const keep = (begun: Buffer[] | null, size: number, more: Buffer): Buffer[] | null =>
  begun === null || size + more.length > largestRow ? null : [...begun, more]

function pushLines(file: DataFile, bytes: Buffer, first: number, lines: (string | PatchbayError)[]): void {
  if (isUtf8(bytes)) {
    for (const line of bytes.toString('utf8').split('\n')) lines.push(withoutReturn(line))
    return
  }
  for (let from = 0; from <= bytes.length;) {
    const found = bytes.indexOf(newline, from)
    const end = found < 0 ? bytes.length : found
    lines.push(lineOf(file, bytes.subarray(from, end), first + lines.length))
    from = end + 1
  }
}

function lineOf(file: DataFile, bytes: Buffer, number: number): string | PatchbayError {
  if (isUtf8(bytes)) return withoutReturn(bytes.toString('utf8'))
  return notUtf8(file.path, number)
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line)

export const notUtf8 = (path: string, line: number): PatchbayError =>
  malformed(path, `line ${line} is not UTF-8 text`, {
    field: `line ${line}`,
    next: 'Save the file as UTF-8.',
  })

const tooLong = (file: DataFile, line: number): PatchbayError =>
  malformed(file.path, `line ${line} is longer than ${largestRow / 2 ** 20} MB`, {
    field: `line ${line}`,
    next: 'Check the format that the file is read as.',
  })
