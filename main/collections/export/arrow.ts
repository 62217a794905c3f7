/** Export as Arrow IPC files, some megabytes each, which every Arrow library reads together as one data set. */
import path from 'node:path'
import {
  bool,
  columnFromArray,
  float16,
  float32,
  float64,
  int32,
  list,
  tableFromColumns,
  tableToIPC,
  utf8,
  type DataType,
} from '@uwdata/flechette'
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled, writeWhole } from '../../files/durable-file'
import type { TableColumn } from '../columns'
import { batches, cellsOf, shapeOfRow, tableOf, type Batch, type ExportTable } from './tables'
import type { ExportSubject } from './subject'

/** Values of a file. */
const PART_BYTES = 32 << 20

export async function writeArrow(subject: ExportSubject): Promise<void> {
  const table = tableOf(subject)
  let place = 0
  let part = 0
  for await (const batch of batches(subject, PART_BYTES)) {
    throwIfCancelled(subject.signal, 'the export')
    const bytes = encode(table, batch, place)
    place += batch.rows.length
    const name = `part-${String(part++).padStart(5, '0')}.arrow`
    await writeWhole(path.join(subject.folder, 'rows.arrow', name), bytes, { signal: subject.signal })
  }
}

function encode(table: ExportTable, batch: Batch, place: number): Uint8Array {
  const columns = [
    ...table.columns.map((column) => entry(column.name, cellsOf(column, batch), typeOf(column))),
    entry(
      table.tokenIds,
      batch.stored.map(({ tokens }) => tokens),
      list(int32()),
    ),
    ...table.values.flatMap(({ name, layout, shapeName }, i) => [
      entry(name, batch.values[i], list(layout.type === 'float16' ? float16() : float32())),
      ...(shapeName === null
        ? []
        : [
            entry(
              shapeName,
              batch.rows.map((_, row) => shapeOfRow(layout, place + row)),
              list(int32()),
            ),
          ]),
    ]),
  ]
  const bytes = tableToIPC(tableFromColumns(columns), { format: 'file' })
  if (bytes === null) throw new PatchbayError('internal', 'Arrow gave no bytes for a table.')
  return bytes
}

const entry = (
  name: string,
  data: unknown[],
  type: DataType,
): [string, ReturnType<typeof columnFromArray>] => [name, columnFromArray(data, type)]

function typeOf({ type, from }: TableColumn): DataType {
  if (type === 'text') return utf8()
  if (type === 'boolean') return bool()
  return from === 'row' ? int32() : float64()
}
