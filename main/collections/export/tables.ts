/** What exports as tables share: columns of the rows, and batches of rows with their values. */
import type { Cell } from '../../../preload/datasets'
import { cellOf, tableColumns, uniqueNames, type TableColumn } from '../columns'
import type { StoredRow } from '../schema'
import { storedRows } from '../stream'
import { rowsOf, type Layout } from './layout'
import type { ExportSubject } from './subject'

export interface ValueColumn {
  /** The output's own, unless a column of the data is called so. */
  name: string
  layout: Layout
  /** Column of each row's shape, where values are flat; null for others. */
  shapeName: string | null
}

export interface ExportTable {
  columns: TableColumn[]
  /** Column of the token ids. */
  tokenIds: string
  values: ValueColumn[]
}

export interface Batch {
  stored: StoredRow[]
  rows: number[]
  /** Of each value column, row by row; null where a row has none. */
  values: (Float32Array | null)[][]
}

export function tableOf({ collection, outputs }: ExportSubject): ExportTable {
  const unique = uniqueNames()
  const columns = tableColumns(collection.manifest)
    .filter(({ from }) => from !== 'output')
    .map((column) => ({ ...column, name: unique(column.name) }))
  const tokenIds = unique('token_ids')
  const values = outputs.map(({ layout }) => {
    const name = unique(layout.output.name)
    return { name, layout, shapeName: layout.kind === 'flat' ? unique(`${name}.shape`) : null }
  })
  return { columns, tokenIds, values }
}

const BATCH_ROWS = 4096

/**
 * Rows with their values in batches. Outputs are read side by side.
 * @param most bytes of a batch's values, about
 */
export async function* batches(subject: ExportSubject, most: number): AsyncGenerator<Batch> {
  const { collection, rows, outputs, signal, onRows } = subject
  const readers = outputs.map(({ layout }) => rowsOf(collection, layout, rows, { signal }))
  const fresh = (): Batch => ({ stored: [], rows: [], values: outputs.map(() => []) })
  let batch = fresh()
  let bytes = 0
  let place = 0
  for await (const { row, stored } of storedRows(collection, rows)) {
    batch.rows.push(row)
    batch.stored.push(stored)
    for (const [i, reader] of readers.entries()) {
      const next = await reader.next()
      const values = next.done === true || outputs[i].layout.counts[place] === 0 ? null : next.value
      batch.values[i].push(values)
      bytes += values?.byteLength ?? 0
    }
    place++
    if (bytes < most && batch.rows.length < BATCH_ROWS) continue
    onRows(batch.rows.length * outputs.length)
    yield batch
    batch = fresh()
    bytes = 0
  }
  if (batch.rows.length > 0) {
    onRows(batch.rows.length * outputs.length)
    yield batch
  }
}

export const cellsOf = (column: TableColumn, { stored, rows }: Batch): Cell[] =>
  stored.map((each, i) => typed(column.type, cellOf(column, each, rows[i])))

/** A cell as its column's type has it: a column that is mixed is text. */
function typed(type: TableColumn['type'], value: Cell): Cell {
  if (value === null || type !== 'text') return value
  return typeof value === 'string' ? value.replace(/\p{Surrogate}/gu, '\ufffd') : String(value)
}

/** Of flat values, the shape of a row. */
export const shapeOfRow = ({ shapes }: Layout, place: number): number[] => {
  if (shapes === null) return []
  const axes = shapes.shape[1]
  return Array.from(shapes.data.subarray(place * axes, (place + 1) * axes), Number)
}
