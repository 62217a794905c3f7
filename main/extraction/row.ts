/** Rows as an extraction runs them: one of each different sequence of tokens, with what is missing of it. */
import type { StoredRow } from '../collections/schema'

export interface TodoRow {
  /** Rows of the collection that have these tokens; one pass computes all of them. */
  readonly rows: readonly StoredRow[]
  readonly tokens: readonly number[]
  /** Hook points of which something is missing. */
  readonly missing: ReadonlySet<string>
}

/** Rows of a batch at most: a run's own limit. */
const MAX_ROWS = 4096

/** How many rows from `first` on make a batch of at most `tokens`, padding counted; one at the least. */
export function batchFrom(
  rows: readonly { tokens: readonly number[] }[],
  first: number,
  tokens: number,
): number {
  let longest = 0
  let count = 0
  for (; first + count < rows.length && count < MAX_ROWS; count++) {
    longest = Math.max(longest, rows[first + count].tokens.length)
    if (longest * (count + 1) > tokens) break
  }
  return Math.max(1, count)
}

export const tokensOf = (rows: readonly { tokens: readonly number[] }[]): number =>
  rows.reduce((sum, { tokens }) => sum + tokens.length, 0)
