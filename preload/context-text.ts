/** How a context's place is told, the same in the view, on pages and in the terminal. */
import type { Context } from './collections'

/** `row 5`, or `row 5 and 11 more` where other rows have the same text. */
export const contextRows = ({ row, inRows }: Pick<Context, 'row' | 'inRows'>): string =>
  inRows > 1 ? `row ${row} and ${inRows - 1} more` : `row ${row}`
