/** What an extraction needs of an open model. */
import type { ModelDescription } from '../../preload/model'
import type { CertificateSummary } from '../../preload/run'
import type { ModelFacts } from '../analysis/subject'
import type { RowRequest } from '../cache/row-request'
import type { Runnable } from '../runtime'

export interface ExtractionModel {
  readonly facts: ModelFacts
  readonly description: Pick<ModelDescription, 'parameterCount' | 'parameters' | 'source'>
  /** What is known of its numbers; null (or none) where they were never checked. */
  readonly certificate?: CertificateSummary | null
  /** What requests run on. */
  readonly runnable: Runnable
}

/** The request of a row that nothing is changed in: its key is the name of the row's values in the store. */
export const plainRequest = (
  { fingerprint, precision, provider }: Pick<ModelFacts, 'fingerprint' | 'precision' | 'provider'>,
  tokens: readonly number[],
): RowRequest => ({
  version: 1,
  model: fingerprint,
  precision,
  provider,
  tokens: [...tokens],
  interventions: [],
})
