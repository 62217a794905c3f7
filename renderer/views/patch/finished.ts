/** A finished sweep as it is listed, kept and compared. */
import type { CallOutput } from '../../../preload/api'
import type { PatchPlace } from '../../../preload/attribution'
import type { Table } from '../../charts/csv'
import type { MapFrame } from './components'
import type { Scale } from './sweep-values'

export interface FinishedSweep {
  title: string
  frame: MapFrame
  rows: readonly string[]
  columns: readonly string[]
  /** In the scale that is shown. */
  values: Float32Array
  scale: Scale
  result: CallOutput<'sweep.run'>
  /** The places, where the sweep was over a list of them. */
  sites: readonly PatchPlace[] | null
}

export interface SiteRow {
  index: number
  row: string
  column: string
  value: number
  raw: number
}

/** Places with at least this magnitude, largest first. */
export function sitesOf({ values, rows, columns, result }: FinishedSweep, threshold: number): SiteRow[] {
  return Array.from(values, (value, index) => ({
    index,
    row: rows[Math.floor(index / columns.length)],
    column: columns[index % columns.length],
    value,
    raw: result.raw.data[index],
  }))
    .filter(({ value }) => Math.abs(value) >= threshold)
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
}

export const sitesTable = (sweep: FinishedSweep): Table => ({
  header: [sweep.frame.rowTitle, sweep.frame.columnTitle, sweep.scale, 'metric'],
  rows: sitesOf(sweep, 0).map(({ row, column, value, raw }) => [row, column, value, raw]),
})

/** Whether two maps have the same places and mean the same, so that their difference means something. */
export const comparable = (a: FinishedSweep, b: FinishedSweep): boolean =>
  a.scale === b.scale &&
  a.frame.rowTitle === b.frame.rowTitle &&
  a.frame.columnTitle === b.frame.columnTitle &&
  a.rows.length === b.rows.length &&
  // Neurons are chosen for each question: the same row may be another one.
  (a.frame.rowTitle !== 'neuron' || a.rows.join() === b.rows.join()) &&
  a.columns.length === b.columns.length
