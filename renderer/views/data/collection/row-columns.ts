/** The columns of a collection's table, and the text of its cells. */
import type { Collection, CollectionRow } from '../../../../preload/collections'
import type { Cell } from '../../../../preload/datasets'
import { formatNumber } from '../../../charts/numbers'
import type { GridColumn } from '../../../components/grid-column'

/** More columns are for queries. */
const most = 40
const widths: Record<string, number> = { row: 6, label: 9, tokens: 6, text: 24 }
const hidden = new Set(['source'])

/** Of a data set's column that is called as one of ours, a number stands behind it. */
const ownName = (name: string): string => name.replace(/^(row|source|label|text|tokens)_2$/i, '$1')

/** What one looks at first comes first: number, label, text, how long it is; then what else there is. */
export function rowColumns({ columns, dataset }: Pick<Collection, 'columns' | 'dataset'>): GridColumn[] {
  const order = ['row', 'label', 'text', 'tokens']
  const own = order.flatMap((name) => columns.find((column) => column.name === name) ?? [])
  // The prompt's own column is the text itself, the label's the label.
  const shown = [dataset.prompt.kind === 'column' ? dataset.prompt.column : null, dataset.label]
  const others = columns.filter(
    ({ name, from }) =>
      !order.includes(name) && !hidden.has(name) && !(from === 'data' && shown.includes(ownName(name))),
  )
  return [...own, ...others].slice(0, most).map(({ name, type }) => ({
    key: name,
    title: name,
    width: widths[name] ?? (type === 'number' ? 9 : 12),
    grow: name === 'text',
    numeric: type === 'number',
    sortable: true,
  }))
}

export const cellText = (value: Cell | undefined): string =>
  value === null || value === undefined
    ? ''
    : typeof value === 'number' && !Number.isInteger(value)
      ? formatNumber(value, 4)
      : String(value)

/** The value of a row in a column. */
export function cellOf(row: CollectionRow, column: string): Cell | undefined {
  switch (column) {
    case 'row':
      return row.row
    case 'source':
      return row.source
    case 'label':
      return row.label
    case 'text':
      return row.text
    case 'tokens':
      return row.tokens
    default:
      return Object.hasOwn(row.cells, column) ? row.cells[column] : undefined
  }
}
