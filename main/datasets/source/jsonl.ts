/** JSON rows: a value a line (JSON Lines), or one list of them over any lines. */
import type { PatchbayError } from '../../../preload/errors'
import { malformed } from '../../models/formats/malformed'
import { largestRow, mostColumns } from '../limits'
import type { ReadRow } from '../types'
import { textBytesOf, type DataFile } from './bytes'
import { cellsOfJson } from './cells'
import { ListScanner } from './json-list'
import { linesOf } from './lines'

/** @throws PatchbayError as `textBytesOf`; `file.malformed` for a list that does not end, or ends before the file */
export async function* readJson(file: DataFile, signal?: AbortSignal): AsyncGenerator<ReadRow[]> {
  if (await isList(file, signal)) yield* readList(file, signal)
  else yield* readLines(file, signal)
}

/** Whether the first character of the file that is no white space opens a list. */
async function isList(file: DataFile, signal?: AbortSignal): Promise<boolean> {
  for await (const chunk of textBytesOf(file, signal)) {
    const begin = /[^ \t\r\n]/.exec(chunk.toString('latin1'))
    if (begin !== null) return begin[0] === '['
  }
  return false
}

async function* readLines(file: DataFile, signal?: AbortSignal): AsyncGenerator<ReadRow[]> {
  for await (const { first, lines } of linesOf(file, signal)) {
    const rows: ReadRow[] = []
    lines.forEach((line, i) => {
      if (typeof line !== 'string') rows.push(line)
      else if (line.trim() !== '') rows.push(rowOfJson(file, line, `line ${first + i}`))
    })
    yield rows
  }
}

async function* readList(file: DataFile, signal?: AbortSignal): AsyncGenerator<ReadRow[]> {
  const scanner = new ListScanner(file.path, largestRow)
  let count = 0
  for await (const chunk of textBytesOf(file, signal))
    yield scanner.push(chunk).map((element): ReadRow => {
      const place = `element ${++count} of the list`
      if (element === 'too-long')
        return unreadable(file, place, `is longer than ${largestRow / 2 ** 20} MB`, 'Shorten it.')
      if (element === 'not-utf8')
        return unreadable(file, place, 'is not UTF-8 text', 'Save the file as UTF-8.')
      return rowOfJson(file, element.text, place)
    })
  scanner.finish()
}

function rowOfJson(file: DataFile, text: string, place: string): ReadRow {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    return unreadable(file, place, 'is not JSON', 'Correct it; each row is a value of its own.', cause)
  }
  return (
    cellsOfJson(value, text) ??
    unreadable(
      file,
      place,
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? `has more than ${mostColumns} columns`
        : 'is neither an object nor a string',
      'Give rows such as {"text": "…"}.',
    )
  )
}

const unreadable = (
  file: DataFile,
  place: string,
  problem: string,
  next: string,
  cause?: unknown,
): PatchbayError => malformed(file.path, `${place} ${problem}`, { field: place, next, cause })
