/** Export as one Parquet file: a row of the collection a row, its values as a list of float32 (or float16). */
import path from 'node:path'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import type { SchemaElement } from 'hyparquet'
import type { TableColumn } from '../columns'
import { throwIfCancelled, writeDurably } from '../../files/durable-file'
import { batches, cellsOf, shapeOfRow, tableOf, type ExportTable } from './tables'
import type { ExportSubject } from './subject'

/** Values of a row group: the writer takes many times that while it encodes. */
const GROUP_BYTES = 2 << 20

/** @param metadata key → value in the file's footer */
export async function writeParquet(subject: ExportSubject, metadata: Record<string, string>): Promise<void> {
  const table = tableOf(subject)
  await writeDurably(
    path.join(subject.folder, 'rows.parquet'),
    async (append) => {
      const writer = new ByteWriter(1 << 20)
      const parquet = new ParquetWriter({
        writer,
        schema: schemaOf(table),
        statistics: false,
        kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
        createdBy: 'patchbay',
      })
      // What was encoded goes to the disk; the writer's offset goes on counting.
      const flush = async (): Promise<void> => {
        const bytes = writer.getBytes().slice()
        writer.index = 0
        await append(bytes)
      }
      let place = 0
      for await (const batch of batches(subject, GROUP_BYTES)) {
        throwIfCancelled(subject.signal, 'the export')
        const uncompressed = { codec: 'UNCOMPRESSED' } as const
        const columnData = [
          ...table.columns.map((column) => ({ name: column.name, data: cellsOf(column, batch) })),
          { name: table.tokenIds, data: batch.stored.map(({ tokens }) => tokens), ...uncompressed },
          ...table.values.flatMap(({ name, layout, shapeName }, i) => [
            {
              name,
              data: batch.values[i].map((values) => (values === null ? null : Array.from(values))),
              ...uncompressed,
            },
            ...(shapeName === null
              ? []
              : [{ name: shapeName, data: batch.rows.map((_, row) => shapeOfRow(layout, place + row)) }]),
          ]),
        ]
        await parquet.write({ columnData, rowGroupSize: batch.rows.length })
        place += batch.rows.length
        await flush()
      }
      await parquet.finish()
      await flush()
    },
    { signal: subject.signal },
  )
}

function schemaOf({ columns, tokenIds, values }: ExportTable): SchemaElement[] {
  const lists = values.flatMap(({ name, shapeName, layout }) => [
    ...listOf(name, layout.type === 'float16' ? half : { type: 'FLOAT' }),
    ...(shapeName === null ? [] : listOf(shapeName, { type: 'INT32' })),
  ])
  const count =
    columns.length + 1 + values.length + values.filter(({ shapeName }) => shapeName !== null).length
  return [
    { name: 'rows', num_children: count },
    ...columns.map(elementOf),
    ...listOf(tokenIds, { type: 'INT32' }),
    ...lists,
  ]
}

function elementOf({ name, type, from }: TableColumn): SchemaElement {
  const optional = { name, repetition_type: 'OPTIONAL' } as const
  if (type === 'text') return { ...optional, type: 'BYTE_ARRAY', converted_type: 'UTF8' }
  if (type === 'boolean') return { ...optional, type: 'BOOLEAN' }
  return { ...optional, type: from === 'row' ? 'INT32' : 'DOUBLE' }
}

type NumberElement = Pick<SchemaElement, 'type' | 'type_length' | 'logical_type'>

const half: NumberElement = {
  type: 'FIXED_LEN_BYTE_ARRAY',
  type_length: 2,
  logical_type: { type: 'FLOAT16' },
}

/** A nullable list of numbers, in the three levels that the format's specification asks for. */
const listOf = (name: string, element: NumberElement): SchemaElement[] => [
  { name, repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', ...element, repetition_type: 'REQUIRED' },
]
