/** Plain text as rows with the column `text`: a line, a paragraph or the whole file each. */
import { isUtf8 } from 'node:buffer'
import type { PatchbayError } from '../../../preload/errors'
import { malformed } from '../../models/formats/malformed'
import { largestDocument, largestRow } from '../limits'
import type { ReadRow } from '../types'
import { textBytesOf, type DataFile } from './bytes'
import { linesOf } from './lines'

/** A row a line; empty lines are none. @throws PatchbayError as `textBytesOf` */
export async function* readTextLines(file: DataFile, signal?: AbortSignal): AsyncGenerator<ReadRow[]> {
  for await (const { lines } of linesOf(file, signal))
    yield lines.flatMap((line): ReadRow[] =>
      typeof line !== 'string' ? [line] : line.trim() === '' ? [] : [{ text: line }],
    )
}

/** A row for the lines between empty ones, joined by LF; a line that can not be read makes its paragraph an error. */
export async function* readParagraphs(file: DataFile, signal?: AbortSignal): AsyncGenerator<ReadRow[]> {
  let lines: string[] = []
  let size = 0
  let problem: PatchbayError | null = null
  const ended = (): ReadRow[] => {
    const row = problem ?? (lines.length === 0 ? null : { text: lines.join('\n') })
    ;[lines, size, problem] = [[], 0, null]
    return row === null ? [] : [row]
  }
  for await (const batch of linesOf(file, signal)) {
    const rows: ReadRow[] = []
    batch.lines.forEach((line, i) => {
      if (typeof line !== 'string') problem ??= line
      else if (line.trim() === '') rows.push(...ended())
      else if (problem === null) {
        lines.push(line)
        size += line.length
        if (size > largestRow) problem = tooLong(file, batch.first + i)
      }
    })
    yield rows
  }
  yield ended()
}

const tooLong = (file: DataFile, line: number): PatchbayError =>
  malformed(
    file.path,
    `the paragraph that goes on at line ${line} is longer than ${largestRow / 2 ** 20} MB`,
    {
      field: `line ${line}`,
      next: 'Part it by empty lines, or read the file by lines.',
    },
  )

/** The whole file as one row. */
export async function* readDocument(file: DataFile, signal?: AbortSignal): AsyncGenerator<ReadRow[]> {
  yield [await documentOf(file, signal)]
}

/** @throws PatchbayError as `textBytesOf`; what is no text, or too long, is given back instead */
export async function documentOf(
  file: DataFile,
  signal?: AbortSignal,
): Promise<{ text: string } | PatchbayError> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of textBytesOf(file, signal)) {
    size += chunk.length
    if (size > largestDocument)
      return malformed(file.path, `it is longer than ${largestDocument / 2 ** 20} MB`, {
        next: 'Read it by lines or paragraphs.',
      })
    chunks.push(chunk)
  }
  const bytes = Buffer.concat(chunks)
  if (isUtf8(bytes) && !bytes.includes(0)) return { text: bytes.toString('utf8') }
  return malformed(file.path, 'it is not UTF-8 text', { next: 'Save it as UTF-8, or leave it out.' })
}
