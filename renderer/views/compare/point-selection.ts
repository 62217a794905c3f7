/** Selecting and pinning cells of pictures whose rows are residual-stream points and whose columns are aligned pairs. */
import { computed, type ComputedRef } from 'vue'
import type { Cell } from '../../charts/heatmap-layout'
import { useSelection } from '../../stores/selection'
import { useComparison } from './comparison'

export function usePointSelection(): {
  point: ComputedRef<number>
  pinnedPoint: ComputedRef<number | null>
  select: (cell: Cell) => void
  pin: (cell: Cell) => void
} {
  const selection = useSelection()
  const { selectPair } = useComparison()
  function select(cell: Cell): void {
    selectPair(cell.column)
    selection.select({ point: cell.row })
  }
  return {
    point: computed(() => selection.current.point),
    pinnedPoint: computed(() => selection.pinned?.point ?? null),
    select,
    pin(cell) {
      select(cell)
      selection.togglePin()
    },
  }
}
