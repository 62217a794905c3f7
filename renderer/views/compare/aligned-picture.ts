/** What a heatmap over aligned tokens shows. */
import type { Domain, Quantity } from '../../charts/domains'
import type { Cell } from '../../charts/heatmap-layout'

/** Values of one prompt, or of their difference. */
export interface AlignedPicture {
  title: string
  subtitle?: string
  quantity: Quantity
  domain: Domain
  /** [row, aligned pair]; NaN where a side has no token. */
  values: ArrayLike<number>
  columns: readonly string[]
  /** Where rows are tokens, too, and differ between the prompts. */
  rows?: readonly string[]
  cellText?: readonly string[] | null
  /** More lines for the card of a cell. */
  more?: (cell: Cell) => string[]
}

/** What pictures beside each other have in common. */
export interface PictureFrame {
  rows: readonly string[]
  rowTitle: string
  /** Where row 0 lies. */
  origin: 'top' | 'bottom'
  columnTitle: string
  /** Rows are aligned pairs, too, and take as much room for their labels as all three pictures need. */
  square?: boolean
  selectedRow: number | null
  /** Without it, the selected pair. */
  selectedColumn?: number
  pinnedRow: number | null
}
