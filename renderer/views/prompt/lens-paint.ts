/** Draws the logit lens through a few strokes, so that screen (canvas, the visible part) and SVG (all of it) look alike. */
import { fitText } from '../../charts/parts'
import type { Strokes } from '../../charts/strokes'
import type { ChartTheme } from '../../charts/theme'
import type { LensPicture } from './lens-data'

export interface LensLayout {
  /** Width of the row labels and height of the column labels. */
  left: number
  top: number
  cellWidth: number
  cellHeight: number
}

export interface LensMarks {
  selected: { point: number; position: number } | null
  pinned: { point: number; position: number } | null
}

/** Part of the picture that is in sight, in px of the whole picture without its labels. */
export interface Sight {
  x: number
  y: number
  width: number
  height: number
}

const narrowest = 52
const widest = 92
const lowest = 22
const highest = 44

/** Cells fill the room they are given, within what can be read; beyond it the picture scrolls. */
export function lensLayout(picture: LensPicture, width: number, height: number): LensLayout {
  const left = 60
  const top = 24
  const fit = (room: number, count: number, least: number, most: number) =>
    Math.floor(Math.min(most, Math.max(least, room / Math.max(1, count))))
  return {
    left,
    top,
    cellWidth: fit(width - left, picture.positions, narrowest, widest),
    cellHeight: fit(height - top, picture.points, lowest, highest),
  }
}

/** Row of a point: the embedding lies at the bottom, as the residual stream is read upwards. */
export const rowOf = (picture: LensPicture, point: number): number => picture.points - 1 - point

export const pictureSize = (picture: LensPicture, layout: LensLayout) => ({
  width: layout.left + picture.positions * layout.cellWidth,
  height: layout.top + picture.points * layout.cellHeight,
})

/** @param sight cells outside of it are not drawn */
export function paintLens(
  strokes: Strokes,
  picture: LensPicture,
  layout: LensLayout,
  marks: LensMarks,
  sight: Sight,
  theme: ChartTheme,
): void {
  const { left, top, cellWidth, cellHeight } = layout
  const firstColumn = Math.max(0, Math.floor(sight.x / cellWidth))
  const lastColumn = Math.min(picture.positions - 1, Math.ceil((sight.x + sight.width) / cellWidth))
  const firstRow = Math.max(0, Math.floor(sight.y / cellHeight))
  const lastRow = Math.min(picture.points - 1, Math.ceil((sight.y + sight.height) / cellHeight))
  const xOf = (column: number) => left + column * cellWidth - sight.x
  const yOf = (row: number) => top + row * cellHeight - sight.y

  strokes.clip(left, top, sight.width, sight.height, () => {
    for (let row = firstRow; row <= lastRow; row++)
      for (let column = firstColumn; column <= lastColumn; column++) {
        const cell = (picture.points - 1 - row) * picture.positions + column
        strokes.rect(xOf(column), yOf(row), cellWidth - 1, cellHeight - 1, picture.fill(cell))
        const text = fitText(picture.text(cell), theme.small, cellWidth - 4)
        strokes.text(
          xOf(column) + cellWidth / 2,
          yOf(row) + cellHeight / 2,
          text,
          picture.ink(cell),
          'middle',
          false,
        )
      }
    for (const [mark, colour, dashed] of [
      [marks.pinned, theme.pin, true],
      [marks.selected, theme.accent, false],
    ] as const) {
      if (mark === null) continue
      const x = xOf(mark.position)
      const y = yOf(rowOf(picture, mark.point))
      // A ring of the surface's colour inside keeps the mark visible on every fill.
      strokes.outline(x + 2, y + 2, cellWidth - 5, cellHeight - 5, theme.surface, 1, false)
      strokes.outline(x, y, cellWidth - 1, cellHeight - 1, colour, 2.5, dashed)
    }
  })
  strokes.clip(left, 0, sight.width, top, () => {
    for (let column = firstColumn; column <= lastColumn; column++) {
      const chosen = marks.selected?.position === column
      const text = fitText(picture.columnLabels[column], theme.small, cellWidth - 4)
      strokes.text(
        xOf(column) + cellWidth / 2,
        top / 2,
        text,
        chosen ? theme.accent : theme.text,
        'middle',
        chosen,
      )
    }
  })
  strokes.clip(0, top, left, sight.height, () => {
    for (let row = firstRow; row <= lastRow; row++) {
      const point = picture.points - 1 - row
      const chosen = marks.selected?.point === point
      const colour = chosen ? theme.accent : theme.muted
      strokes.text(left - 8, yOf(row) + cellHeight / 2, picture.rowLabels[point], colour, 'end', chosen)
    }
  })
}
