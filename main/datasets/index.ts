/** Data sets: rows of text from files and folders, and as a model gets them. */
export { inspectSource } from './inspect/inspect'
export { prepareRows, type PrepareOptions } from './prepare/prepare'
export { readRows, type ReadRowsOptions, type SourceFailure } from './source/rows'
export type { Cells, Prepared, PreparedDataRow, RowEncoder, SourceRow } from './types'
