/** The beginning of a data set: format, files, columns, rows to look at, and what to begin with. */
import type { DatasetReport, DatasetSource, RowFailure } from '../../../preload/datasets'
import { toWire, type PatchbayError } from '../../../preload/errors'
import { openSource } from '../source/open'
import { numbered } from '../source/rows'
import type { Cells, ReadOptions } from '../types'
import { ColumnCensus, shortened } from './columns'
import { suggest } from './suggest'

const mostRows = 1000
/** UTF-16 units of the rows that are looked at, together. */
const mostText = 16 * 2 ** 20
const headRows = 20
const mostFailures = 20
const longestCell = 2000

/**
 * Looks at the first rows (1,000, or fewer where they are long). Long cells of `head` are cut, with "…". Where no row of
 * the beginning can be read, the first one's error is thrown.
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed` naming the line, `input.invalid`, `run.cancelled`
 */
export async function inspectSource(
  source: DatasetSource,
  { signal }: ReadOptions = {},
): Promise<DatasetReport> {
  const opened = await openSource(source)
  const census = new ColumnCensus()
  const head: Cells[] = []
  let rows = 0
  let seen = 0
  const failures: RowFailure[] = []
  let problem: PatchbayError | null = null
  let isWhole = true
  for await (const item of numbered(opened, signal)) {
    if (rows >= mostRows || seen > mostText) {
      isWhole = false
      break
    }
    rows++
    if ('error' in item) {
      problem ??= item.error
      if (failures.length < mostFailures) failures.push({ row: item.row, error: toWire(item.error) })
      continue
    }
    census.add(item.cells)
    seen += lengthOf(item.cells)
    if (head.length < headRows) head.push(item.cells)
  }
  if (head.length === 0 && problem !== null) throw problem
  const columns = census.report()
  return {
    format: opened.format,
    files: opened.files.map(({ path, bytes }) => ({ path, bytes })),
    columns,
    rows: isWhole ? rows : await opened.count(),
    head: head.map(shown),
    failures,
    suggested: suggest(columns, head, (column) => census.meanLength(column)),
  }
}

const lengthOf = (cells: Cells): number =>
  Object.values(cells).reduce<number>((sum, value) => sum + (typeof value === 'string' ? value.length : 8), 0)

const shown = (cells: Cells): Cells =>
  Object.fromEntries(
    Object.entries(cells).map(([name, value]) => [
      name,
      typeof value === 'string' ? shortened(value, longestCell) : value,
    ]),
  )
