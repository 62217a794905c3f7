/**
 * Tables as CSV (RFC 4180) that a spreadsheet can open without running anything: a text cell that begins like a formula
 * gets a leading apostrophe (OWASP, CSV injection); numbers stay numbers.
 */
export type CsvCell = string | number
export interface Table {
  header: readonly string[]
  rows: Iterable<readonly CsvCell[]>
}

/** `= + - @`, tab and carriage return, also behind leading spaces and in full width, as spreadsheets take them. */
const formulaStart = /^[\s\u200b\ufeff]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/

function field(cell: CsvCell): string {
  if (typeof cell === 'number') return Number.isNaN(cell) ? 'NaN' : String(cell)
  const inert = formulaStart.test(cell) ? `'${cell}` : cell
  return /[",\r\n']|^\s|\s$/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert
}

/** The table as CSV text, lines ended by CRLF. */
export function csvText(table: Table): string {
  const lines = [table.header.map(field).join(',')]
  for (const row of table.rows) lines.push(row.map(field).join(','))
  return lines.join('\r\n') + '\r\n'
}
