/**
 * Export as CSV: a table of the rows, and for each output a table with a line for each position. Text out of the data is never
 * a formula for a spreadsheet.
 */
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { unravel } from '../../../preload/tensor'
import { numberCell, textCell } from '../../analysis/csv'
import { writeDurably } from '../../files/durable-file'
import type { Cell } from '../../../preload/datasets'
import { cellOf } from '../columns'
import { storedRows, streamRows } from '../stream'
import { positionAxis } from '../vectors'
import type { Layout } from './layout'
import { counting, type ExportSubject } from './subject'
import { tableOf } from './tables'

/** Spreadsheets read no more. */
const MOST_COLUMNS = 16_000

/** @throws PatchbayError `input.invalid` for an output without a fixed number of values at each position */
export async function writeCsv(subject: ExportSubject): Promise<void> {
  const widths = subject.outputs.map(({ layout }) => columnsOf(layout))
  await writeRows(subject)
  for (const [i, { layout, file }] of subject.outputs.entries())
    await writeValues(subject, layout, `${file}.csv`, widths[i])
}

/** Names of the columns of one position's numbers. */
function columnsOf({ output, kind }: Layout): string[] {
  const axis = positionAxis(output)
  const dims = output.dims.slice(axis + 1)
  const sizes = output.sizes.slice(axis + 1).map((size) => size ?? 0)
  const width = sizes.reduce((product, n) => product * n, 1)
  if (kind === 'flat' || axis > 0 || width > MOST_COLUMNS)
    throw new PatchbayError('input.invalid', `${output.name} does not fit a table of CSV.`, {
      field: 'outputs',
      next: 'Export it as safetensors or npy.',
    })
  return Array.from({ length: width }, (_, i) =>
    dims.length === 0
      ? 'value'
      : unravel(sizes, i)
          .map((index, d) => `${dims[d]} ${index}`)
          .join(' '),
  )
}

const cell = (value: Cell): string => {
  if (value === null) return ''
  return typeof value === 'number'
    ? numberText(value)
    : typeof value === 'boolean'
      ? String(value)
      : textCell(value)
}

/** All digits of a float64. */
const numberText = (value: number): string => (Number.isFinite(value) ? String(value) : numberCell(value))

async function writeRows(subject: ExportSubject): Promise<void> {
  const { collection, rows, folder, signal } = subject
  const { columns, tokenIds } = tableOf(subject)
  await writeDurably(
    path.join(folder, 'rows.csv'),
    async (append) => {
      const lines = new Lines(append)
      await lines.add([...columns.map(({ name }) => textCell(name)), tokenIds])
      for await (const { row, stored } of storedRows(collection, rows))
        await lines.add([
          ...columns.map((column) => cell(cellOf(column, stored, row))),
          stored.tokens.join(' '),
        ])
      await lines.end()
    },
    { signal },
  )
}

async function writeValues(
  { collection, rows, folder, signal, onRows }: ExportSubject,
  { output }: Layout,
  file: string,
  columns: readonly string[],
): Promise<void> {
  const byPosition = positionAxis(output) === 0
  await writeDurably(
    path.join(folder, file),
    async (append) => {
      const lines = new Lines(append)
      await lines.add(['row', ...(byPosition ? ['position', 'token'] : []), ...columns])
      const stream = streamRows(collection, output.name, { rows, signal, onProgress: counting(onRows) })
      for await (const { row, stored, values } of stream) {
        const positions = collection.positionsOf(stored, output.name)
        const tokens = collection.tokensOf(stored)
        for (let at = 0, i = 0; at < values.data.length; at += columns.length, i++) {
          const where = byPosition ? [String(positions[i]), textCell(tokens[positions[i]].text)] : []
          const numbers = values.data.subarray(at, at + columns.length)
          await lines.add([String(row), ...where, ...Array.from(numbers, numberCell)])
        }
      }
      await lines.end()
    },
    { signal },
  )
}

/** Lines that are appended some thousands of characters at a time. */
class Lines {
  private waiting = ''

  constructor(private readonly append: (bytes: Uint8Array) => Promise<void>) {}

  async add(cells: readonly string[]): Promise<void> {
    this.waiting += `${cells.join(',')}\n`
    if (this.waiting.length > 1 << 20) await this.end()
  }

  async end(): Promise<void> {
    const text = this.waiting
    this.waiting = ''
    await this.append(Buffer.from(text))
  }
}
