/** What a writer of one format is given. */
import type { OpenCollection } from '../collection'
import type { Layout } from './layout'

export interface ExportSubject {
  collection: OpenCollection
  /** Rows that are exported, ascending. */
  rows: Int32Array
  /** The outputs, each with a name that is safe as a file's. */
  outputs: NamedLayout[]
  /** A folder to write into. */
  folder: string
  signal?: AbortSignal
  /** Called after some rows of an output were written. */
  onRows: (count: number) => void
}

export interface NamedLayout {
  layout: Layout
  /** Letters, digits, dots, dashes and underscores. */
  file: string
}

/** Passes on how many rows were read since the last time. */
export function counting(onRows: (count: number) => void): (progress: { done: number }) => void {
  let before = 0
  return ({ done }) => {
    onRows(done - before)
    before = done
  }
}
