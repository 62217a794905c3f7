/** Columns of the table `rows`: what is known of every row, the data set's own, and outputs that are one number a row. */
import type { Collection } from '../../preload/collections'
import type { Cell } from '../../preload/datasets'
import type { Manifest, StoredRow } from './schema'

export type TableColumn = Collection['columns'][number] & {
  /** The data set's column or the output that it holds. */
  source: string
}

/** SQLite's limit is 2,000 columns. */
const MOST = 1900

const rowColumns = ['row', 'source', 'label', 'text', 'tokens'] as const

/**
 * Columns in order. A data column that is called as one of ours, or as another in other letters, gets a number behind it:
 * SQLite's names do not tell A from a. Characters that no SQL text can have are replaced.
 */
export function tableColumns({
  columns,
  outputs,
  dataset,
}: Pick<Manifest, 'columns' | 'outputs' | 'dataset'>): TableColumn[] {
  const unique = uniqueNames()
  const own = rowColumns.map((source): TableColumn => {
    const type = source === 'label' || source === 'text' ? 'text' : 'number'
    return { name: unique(source), type, from: 'row', source }
  })
  const numbers = outputs
    .filter(({ sizes }) => sizes.every((size) => size === 1))
    .map(({ name }): TableColumn => ({ name: unique(name), type: 'number', from: 'output', source: name }))
  const data = columns
    .filter(({ name }) => !isOurs(name, dataset))
    .map(({ name, type }): TableColumn => ({
      name: unique(name),
      type,
      from: 'data',
      source: name,
    }))
  return [...own, ...data.slice(0, MOST - own.length - numbers.length), ...numbers].slice(0, MOST)
}

/** Whether a data column is what `label` or `text` hold already. */
const isOurs = (name: string, { label, prompt }: Manifest['dataset']): boolean =>
  (name === 'label' && label === name) ||
  (name === 'text' && prompt.kind === 'column' && prompt.column === name)

/** Gives each text a name of its own, near to what it is. */
export function uniqueNames(): (wanted: string) => string {
  const taken = new Set<string>()
  return (wanted) => {
    const plain = wanted.replace(/\0|\p{Surrogate}/gu, '\ufffd')
    let name = plain
    for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${plain}_${n}`
    taken.add(name.toLowerCase())
    return name
  }
}

/** What a row has in a column; null for an output's, whose values are not in the rows. */
export function cellOf({ from, source }: TableColumn, stored: StoredRow, row: number): Cell {
  if (from === 'output') return null
  if (from === 'data') return Object.hasOwn(stored.cells, source) ? stored.cells[source] : null
  switch (source) {
    case 'row':
      return row
    case 'source':
      return stored.source
    case 'label':
      return stored.label
    case 'tokens':
      return stored.tokens.length
    default:
      return stored.text
  }
}
