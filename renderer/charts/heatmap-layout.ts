/** Where the parts of a heatmap lie: margins by the size of the labels, how column labels turn, whether cell text fits. */
import type { Size } from './echarts'
import { widest } from './parts'
import type { ChartTheme } from './theme'

export interface HeatmapLayout {
  left: number
  right: number
  top: number
  bottom: number
  /** Size of one cell in px. */
  cellWidth: number
  cellHeight: number
  /** Angle of the column labels in degrees. */
  rotate: 0 | 90
  /** Every n-th label is shown. */
  columnStep: number
  rowStep: number
  /** Longest label in px, cut beyond. */
  rowLabel: number
  columnLabel: number
}

const steps = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000]

/** Smallest round step at which labels of `need` px don't collide on cells of `cell` px. */
const stepFor = (need: number, cell: number, text: boolean): number => {
  const least = need / Math.max(cell, 1e-6)
  // Tokens are shown all or at even steps; numbers look better at round ones.
  return text ? Math.max(1, Math.ceil(least)) : (steps.find((step) => step >= least) ?? Math.ceil(least))
}

export interface HeatmapLabels {
  rows: readonly string[]
  columns: readonly string[]
  rowTitle: string
  columnTitle: string
  /** Labels to leave room for, so that pictures beside each other line up; without it, the picture's own. */
  roomFor?: { rows: readonly string[]; columns: readonly string[] } | null
}

/** Lays a heatmap of `rows` × `columns` labels out in `size`. */
export function heatmapLayout(labels: HeatmapLabels, size: Size, theme: ChartTheme): HeatmapLayout {
  const font = theme.small
  const line = Math.ceil(font * 1.4)
  const rowLabel = Math.ceil(
    widest(labels.roomFor?.rows ?? labels.rows, font, Math.min(160, size.width * 0.25)),
  )
  const left = rowLabel + 10 + (labels.rowTitle === '' ? 0 : line + 4)
  const right = 8
  const top = line * 2 + 6
  const cellWidth = Math.max(0, size.width - left - right) / Math.max(1, labels.columns.length)
  const numeric = labels.columns.every((label) => /^\d+$/.test(label))
  const columnText = widest(labels.roomFor?.columns ?? labels.columns, font, 96)
  const rotate = numeric || columnText + 6 <= cellWidth ? 0 : 90
  const columnLabel = Math.ceil(columnText)
  const bottom = (rotate === 0 ? line : columnLabel + 4) + 6 + (labels.columnTitle === '' ? 0 : line)
  const cellHeight = Math.max(0, size.height - top - bottom) / Math.max(1, labels.rows.length)
  return {
    left,
    right,
    top,
    bottom,
    cellWidth,
    cellHeight,
    rotate,
    columnStep: stepFor(rotate === 0 ? columnText + 8 : line, cellWidth, !numeric),
    rowStep: stepFor(font + 2, cellHeight, !labels.rows.every((label) => /^\d+$/.test(label))),
    rowLabel,
    columnLabel,
  }
}

/** A cell of a heatmap, row 0 being the first in the data, wherever it is drawn. */
export interface Cell {
  row: number
  column: number
}

interface Extent {
  rows: number
  columns: number
  origin: 'top' | 'bottom'
}

const lineOf = (row: number, { rows, origin }: Extent): number => (origin === 'top' ? row : rows - 1 - row)

/** The cell under a point in px; null outside of the plot. */
export function cellUnder(layout: HeatmapLayout, extent: Extent, x: number, y: number): Cell | null {
  const column = Math.floor((x - layout.left) / layout.cellWidth)
  const line = Math.floor((y - layout.top) / layout.cellHeight)
  if (!(column >= 0 && column < extent.columns && line >= 0 && line < extent.rows)) return null
  return { row: lineOf(line, extent), column }
}

/** Where a cell is drawn, in px from the top left corner of the chart. */
export const placeOf = (layout: HeatmapLayout, extent: Extent, cell: Cell) => ({
  x: layout.left + cell.column * layout.cellWidth,
  y: layout.top + lineOf(cell.row, extent) * layout.cellHeight,
  width: layout.cellWidth,
  height: layout.cellHeight,
})
