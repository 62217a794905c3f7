/** Metrics of next-token distributions, from logits, in float64. */
import type { SweepMetric } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { klDivergence, logSumExp } from '../../runtime/distribution'
import type { PatchingModel } from './subject'
import { invalid } from './sites'

/** A metric with the positions at which it is read in each prompt. */
export interface PlacedMetric {
  readonly metric: SweepMetric
  readonly position: { readonly clean: number; readonly corrupt: number }
}

/** Logits behind one position: of all tokens, or of those few that `at` finds a place for. */
export interface LogitRow {
  readonly logits: Float32Array
  readonly at: (token: number) => number
}

/** The tokens of whose logits alone a metric is made; null where it needs all. */
export function tokensOf(metric: SweepMetric): readonly number[] | null {
  if (metric.kind === 'logit-difference') return [...metric.positive, ...metric.negative]
  return metric.kind === 'linear' && metric.of === 'logits' ? metric.tokens : null
}

/** @throws PatchbayError `input.invalid` for tokens that the model does not have, or weights that do not fit them */
export function checkMetric({ facts }: PatchingModel, metric: SweepMetric, field: string): void {
  const tokens =
    tokensOf(metric) ?? ('token' in metric ? [metric.token] : 'tokens' in metric ? metric.tokens : [])
  const bad = tokens.find((token) => token >= facts.vocab)
  if (bad !== undefined)
    throw invalid(
      `There is no token ${bad} in the vocabulary of ${facts.vocab}`,
      field,
      'Choose a token of this model.',
    )
  if (metric.kind !== 'linear') return
  if (metric.weights.length !== metric.tokens.length)
    throw invalid(
      `${metric.weights.length} weights do not fit ${metric.tokens.length} tokens`,
      `${field}.weights`,
    )
  if (!metric.weights.every(Number.isFinite)) throw invalid('A weight is not a number', `${field}.weights`)
}

/**
 * The metric of one row of logits.
 * @param target all logits of the prompt that a divergence is measured from
 */
export function metricOf(metric: SweepMetric, { logits, at }: LogitRow, target: Float32Array | null): number {
  const mean = (tokens: readonly number[]): number =>
    tokens.reduce((sum, token) => sum + logits[at(token)], 0) / Math.max(1, tokens.length)
  switch (metric.kind) {
    case 'logit-difference':
      return mean(metric.positive) - mean(metric.negative)
    case 'log-probability':
      return logits[metric.token] - logSumExp(logits)
    case 'probability':
      return Math.exp(logits[metric.token] - logSumExp(logits))
    case 'rank':
      if (Number.isNaN(logits[metric.token])) return NaN
      return logits.reduce((above, logit) => above + (logit > logits[metric.token] ? 1 : 0), 0)
    case 'kl': {
      if (target === null) return NaN
      const [from, to] = metric.direction === 'target-model' ? [target, logits] : [logits, target]
      return Number.isFinite(logSumExp(from) + logSumExp(to)) ? klDivergence(from, to) : NaN
    }
    case 'linear': {
      const norm = metric.of === 'logits' ? 0 : logSumExp(logits)
      const x = (token: number): number => {
        const value = logits[at(token)] - norm
        return metric.of === 'probabilities' ? Math.exp(value) : value
      }
      return metric.tokens.reduce((sum, token, i) => sum + metric.weights[i] * x(token), 0)
    }
  }
}

/** Logits [.., d_vocab] row by row. */
export function rowsOf({ shape, data }: Tensor): LogitRow[] {
  const width = shape[shape.length - 1]
  const rows: LogitRow[] = []
  for (let start = 0; start < data.length; start += width)
    rows.push({ logits: data.subarray(start, start + width), at: (token) => token })
  return rows
}
