/**
 * CSV and TSV through csv-parse: the first record names the columns, quoted fields may hold line breaks. A record with more
 * or fewer fields than columns, or bytes that are not UTF-8, is an error in its place.
 */
import { CsvError, parse } from 'csv-parse'
import type { PatchbayError } from '../../../preload/errors'
import { malformed } from '../../models/formats/malformed'
import { largestRow, mostColumns } from '../limits'
import type { ReadRow } from '../types'
import { textBytesOf, type DataFile } from './bytes'
import { cellsOf } from './cells'
import { LineTracker, type RecordLines } from './line-tracker'
import { notUtf8 } from './lines'

interface CsvRecord extends RecordLines {
  readonly fields: readonly string[]
}

/**
 * @throws PatchbayError as `textBytesOf`; `file.malformed` naming the line where a quoted field does not end, and for more
 * than 10,000 columns
 */
export async function* readDelimited(
  file: DataFile,
  delimiter: ',' | '\t',
  signal?: AbortSignal,
): AsyncGenerator<ReadRow[]> {
  let columns: string[] | null = null
  for await (const records of recordsOf(file, delimiter, signal)) {
    const rows: ReadRow[] = []
    for (const record of records) {
      const { fields, broken } = record
      if (columns === null) {
        if (broken !== null) throw notUtf8(file.path, broken)
        columns = columnNames(file, fields)
      } else if (broken !== null) rows.push(notUtf8(file.path, broken))
      else if (fields.length !== columns.length) rows.push(ragged(file, record, columns.length))
      else rows.push(cellsOf(columns.map((name, i) => [name, fields[i]])))
    }
    yield rows
  }
}

/** Columns without a name are named by their place, and second ones of a name are numbered: each is to be reached. */
function columnNames(file: DataFile, header: readonly string[]): string[] {
  if (header.length > mostColumns)
    throw malformed(file.path, `it has ${header.length} columns`, {
      next: `At most ${mostColumns} can be read. Check the delimiter.`,
    })
  const names = new Set<string>()
  header.forEach((given, i) => {
    const name = given === '' ? `column ${i + 1}` : given
    let unique = name
    for (let count = 2; names.has(unique); count++) unique = `${name} (${count})`
    names.add(unique)
  })
  return [...names]
}

function ragged(file: DataFile, { fields, from }: CsvRecord, columns: number): PatchbayError {
  return malformed(file.path, `line ${from} has ${fields.length} fields where ${columns} columns are named`, {
    field: `line ${from}`,
    next: 'Correct the line; a field with a delimiter or a line break in it needs quotes.',
  })
}

/** The records that end in each chunk of the file; what was whole before an error is given out. */
async function* recordsOf(
  file: DataFile,
  delimiter: string,
  signal?: AbortSignal,
): AsyncGenerator<CsvRecord[]> {
  const tracker = new LineTracker()
  let records: CsvRecord[] = []
  const parser = parse({
    delimiter,
    record_delimiter: ['\r\n', '\n'],
    // As Python's reader does: a quote inside a field that did not begin with one is a character like others.
    relax_quotes: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: largestRow,
    on_record: (fields, { bytes_records: end }) => {
      records.push({ fields, ...tracker.record(end) })
      return null
    },
  })
  // Reported by the callbacks of `write` and `end` too.
  parser.on('error', () => undefined)
  const ended = (): CsvRecord[] => {
    const batch = records
    records = []
    return batch
  }
  try {
    for await (const chunk of textBytesOf(file, signal)) {
      tracker.look(chunk)
      const problem = await settled((done) => parser.write(chunk, done))
      yield ended()
      if (problem !== null) throw unreadable(file, tracker.line, problem)
    }
    tracker.finish()
    const problem = await settled((done) => parser.end(done))
    yield ended()
    if (problem !== null) throw unreadable(file, tracker.line, problem)
  } finally {
    parser.destroy()
  }
}

const settled = (work: (done: (error?: Error | null) => void) => void): Promise<Error | null> =>
  new Promise((resolve) => work((error) => resolve(error ?? null)))

function unreadable(file: DataFile, line: number, cause: Error): PatchbayError {
  const place = `line ${line}`
  const problem =
    cause instanceof CsvError && cause.code === 'CSV_QUOTE_NOT_CLOSED'
      ? 'has a quoted field that does not end'
      : cause instanceof CsvError && cause.code === 'CSV_MAX_RECORD_SIZE'
        ? `is longer than ${largestRow / 2 ** 20} MB`
        : `can not be read (${cause.message.slice(0, 200)})`
  return malformed(file.path, `the record that begins at ${place} ${problem}`, {
    field: place,
    next: 'Check the quotes and the delimiter from there on.',
    cause,
  })
}
