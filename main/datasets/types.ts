/** What the rooms above see of a data set: rows as they are in the source, and rows as a model gets them. */
import type { Cell, PreparedRow, RowFailure } from '../../preload/datasets'
import type { PatchbayError } from '../../preload/errors'
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../preload/prompt'

export type Cells = Record<string, Cell>

/** A row with its number in the source, from 0. Rows that can not be read have numbers too. */
export interface SourceRow {
  readonly row: number
  readonly cells: Cells
}

/** What a reader makes of a row: its cells, or why it has none. */
export type ReadRow = Cells | PatchbayError

/** What encodes rows: an open model is one (`JobModel`, `OpenModel`). */
export interface RowEncoder {
  readonly facts: { readonly contextLength: number; readonly vocab: number }
  /** A prompt in the model's tokens, however long: rows are cut behind it. */
  tokenise(prompt: PromptSpec, signal?: AbortSignal): Promise<EncodedPrompt>
  /** Synchronous look-up of ids below `vocab`. */
  tokens(ids: readonly number[]): TokenInfo[]
}

/** A row as the model gets it, with what was tokenised and where it comes from. */
export interface PreparedDataRow extends PreparedRow {
  /** What was tokenised, after the template and before truncation. */
  readonly text: string
  readonly cells: Cells
}

/** What becomes of a row; every selected row of the source is one of them, in the source's order. */
export type Prepared =
  | { readonly kind: 'row'; readonly row: PreparedDataRow }
  | { readonly kind: 'failure'; readonly failure: RowFailure }
  /** The same tokens as the earlier row `of`. */
  | { readonly kind: 'duplicate'; readonly row: number; readonly of: number }

export interface ReadOptions {
  signal?: AbortSignal
}
