/** The calls of the thread that holds a collection's table in SQLite. */
import type { Cell } from '../../../preload/datasets'
import type { TableColumn } from '../columns'

export interface SqlCalls {
  /** Makes the table `rows` from a collection's `rows.jsonl`. */
  load: { input: { file: string; columns: TableColumn[] }; output: null }
  /** Sets a column, one number a row; NaN for none. */
  fill: { input: { column: string; values: Float64Array }; output: null }
  /** One SELECT. */
  query: {
    input: { sql: string; limit: number }
    output: { columns: string[]; rows: Cell[][]; more: boolean }
  }
  /** Rows by number, in the order of `sort` (or of their numbers), and how many there are. */
  select: {
    input: {
      filter: string
      sort: { column: string; descending: boolean } | null
      /** Null for all of them. */
      page: { offset: number; count: number } | null
    }
    output: { rows: Int32Array; total: number }
  }
}
