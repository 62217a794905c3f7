/** Text files, and tables of values parted by commas or tabs; errors name the line. */
import { PatchbayError } from '../../preload/errors'

const refuse = (file: string, where: string, problem: string, next: string): PatchbayError =>
  new PatchbayError('file.malformed', `${file}, ${where}: ${problem}.`, { file, field: where, next })

export interface Row {
  line: number
  cells: string[]
}

/** RFC 4180 with any separator; `line` is where a row begins. */
export function separated(file: string, text: string, separator: ',' | '\t'): Row[] {
  const rows: Row[] = []
  let row: Row = { line: 1, cells: [''] }
  let line = 1
  let quotedSince = 0
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]
    const last = row.cells.length - 1
    if (letter === '\n') line++
    if (quotedSince > 0) {
      if (letter !== '"') row.cells[last] += letter
      else if (text[i + 1] === '"') {
        row.cells[last] += '"'
        i++
      } else quotedSince = 0
    } else if (letter === '"' && row.cells[last] === '') quotedSince = line
    else if (letter === separator) row.cells.push('')
    else if (letter === '\n') {
      rows.push(row)
      row = { line, cells: [''] }
    } else if (letter !== '\r' || text[i + 1] !== '\n') row.cells[last] += letter
  }
  if (quotedSince > 0)
    throw refuse(
      file,
      `line ${quotedSince}`,
      'a quotation mark is opened here and never closed',
      'Correct it and import the file again; nothing was taken over.',
    )
  rows.push(row)
  return rows.filter(({ cells }) => cells.some((cell) => cell.trim() !== ''))
}

/** The text of a file. @throws PatchbayError `file.malformed` where it is not UTF-8 */
export function textOfFile(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw refuse(name, 'the file', 'is not UTF-8 text', 'Save it as UTF-8 and import it again.')
  }
}
