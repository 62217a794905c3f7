/** A cursor over a grid of cells that arrow keys move: what makes a heatmap usable without a mouse. */
import { ref, type Ref } from 'vue'
import type { Cell } from './heatmap-layout'

export interface GridShape {
  rows: number
  columns: number
  origin: 'top' | 'bottom'
}

/** Where a key leads from a cell, kept inside; null for keys that move nothing. */
export function movedCell(from: Cell, key: string, shape: GridShape): Cell | null {
  const down = shape.origin === 'top' ? 1 : -1
  const page = Math.max(1, Math.round(shape.rows / 8))
  const moves: Record<string, Cell> = {
    ArrowLeft: { row: from.row, column: from.column - 1 },
    ArrowRight: { row: from.row, column: from.column + 1 },
    ArrowDown: { row: from.row + down, column: from.column },
    ArrowUp: { row: from.row - down, column: from.column },
    PageDown: { row: from.row + down * page, column: from.column },
    PageUp: { row: from.row - down * page, column: from.column },
    Home: { row: from.row, column: 0 },
    End: { row: from.row, column: shape.columns - 1 },
  }
  if (!Object.hasOwn(moves, key)) return null
  const to = moves[key]
  return {
    row: Math.min(shape.rows - 1, Math.max(0, to.row)),
    column: Math.min(shape.columns - 1, Math.max(0, to.column)),
  }
}

/**
 * @param shape the grid, asked for at every key
 * @param start where the cursor appears when the grid gets the focus
 * @param act what Enter or Space (`select`) and P (`pin`) do at the cursor
 */
export function useGridCursor(
  shape: () => GridShape,
  start: () => Cell | null,
  act: (what: 'select' | 'pin', cell: Cell) => void,
): {
  cursor: Ref<Cell | null>
  onKeydown: (event: KeyboardEvent) => void
  onFocus: () => void
  onBlur: () => void
} {
  const cursor = ref<Cell | null>(null)
  const onFocus = () => {
    const { rows, columns } = shape()
    if (rows > 0 && columns > 0) cursor.value = start() ?? { row: 0, column: 0 }
  }
  return {
    cursor,
    onFocus,
    onBlur: () => {
      cursor.value = null
    },
    onKeydown: (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return
      if (cursor.value === null) onFocus()
      if (cursor.value === null) return
      const to = movedCell(cursor.value, event.key, shape())
      if (to !== null) cursor.value = to
      else if (event.key === 'Enter' || event.key === ' ') act('select', cursor.value)
      else if (event.key === 'p' || event.key === 'P') act('pin', cursor.value)
      else return
      event.preventDefault()
      event.stopPropagation()
    },
  }
}
