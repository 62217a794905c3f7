/** One extraction under way: what both ways of running it are given. */
import { PatchbayError, toWire } from '../../preload/errors'
import type { RowFailure } from '../../preload/datasets'
import type { StoredRow } from '../collections/schema'
import type { Patterns } from './entries'
import { failure } from '../runtime/session'
import type { Pace } from './pace'
import type { ExtractionPlan } from './plan'
import type { Storing } from './storing'
import type { ExtractionModel } from './subject'

export interface ExtractionTask {
  readonly model: ExtractionModel
  readonly plan: ExtractionPlan
  readonly patterns: Patterns
  readonly storing: Storing
  readonly pace: Pace
  /** Aborted: stop soon, nothing more is wanted. */
  readonly signal: AbortSignal
  /** Aborted: stop where it is easy to go on. */
  readonly pause: AbortSignal
  /** Told of tokens that were computed and handed to the store, and what is being done. */
  readonly onProgress: (progress: { done: number; total: number; what: string }) => void
  /** Told of rows that could not be computed, or whose values are not numbers. */
  readonly onFailure: (failure: RowFailure) => void
}

/** Values that are not numbers; they are stored as they are. */
export const notNumbers = (row: StoredRow, output: string): RowFailure =>
  failureOf(
    row,
    new PatchbayError('run.failed', `The row's values at ${output} are not all numbers (NaN).`, {
      field: output,
      next: 'They are stored as they are; leave the row out of what you compute with them.',
    }),
  )

export const failureOf = ({ source }: StoredRow, error: PatchbayError): RowFailure => ({
  row: source,
  error: toWire(error),
})

/** Not enough memory even for this row alone. */
export const tooLong = (tokens: number, cause: PatchbayError): PatchbayError =>
  new PatchbayError('memory.exhausted', `There is not enough memory for a row of ${tokens} tokens.`, {
    next: 'Truncate rows (maxTokens), or close other models.',
    cause,
  })

/** The error, where it says that memory was short. @throws it, where it says anything else */
export function asExhausted(thrown: unknown): PatchbayError {
  // Arrays of ours that do not fit are a RangeError.
  const error = thrown instanceof RangeError ? failure('The extraction', thrown) : thrown
  if (error instanceof PatchbayError && error.code === 'memory.exhausted') return error
  throw error
}
