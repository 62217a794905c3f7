/** The attributed number: checked against model and prompt, read from logits, and said to a backward pass. */
import type { AttributionMetric } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import type { Metric } from '../../../preload/metric'
import type { RunRequestInput } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import { logSumExp } from '../../runtime/distribution'
import { checkPosition } from '../captures'
import type { AnalysisModel } from '../subject'

/** A metric of one prompt. */
export interface PlacedMetric {
  readonly metric: AttributionMetric
  /** Of the prompt. */
  readonly position: number
  /** Whether that is the prompt's last position. */
  readonly last: boolean
}

/**
 * Checks a metric against the vocabulary and places it in a prompt.
 * @throws PatchbayError `input.invalid` for a token outside the vocabulary or a position outside the prompt
 */
export function placed(
  { facts }: Pick<AnalysisModel, 'facts'>,
  metric: AttributionMetric,
  tokens: readonly number[],
  position = metric.position,
): PlacedMetric {
  for (const token of tokensOf(metric))
    if (token >= facts.vocab)
      throw new PatchbayError(
        'input.invalid',
        `The metric’s token ${token} is not in the vocabulary of ${facts.name}, which has ${facts.vocab} tokens.`,
        { next: 'Choose tokens of this model, for example by clicking its logits.', field: 'metric' },
      )
  const last = tokens.length - 1
  const at = position === 'last' ? last : position
  checkPosition(tokens, at)
  return { metric, position: at, last: at === last }
}

const tokensOf = (metric: AttributionMetric): number[] =>
  metric.kind === 'logit-difference' ? [metric.positive, metric.negative] : [metric.token]

/** The same for a backward pass. */
export function differentiable({ metric, position }: PlacedMetric): Metric {
  switch (metric.kind) {
    case 'logit':
      return { kind: 'logit-difference', positive: [metric.token], negative: [], position }
    case 'logit-difference': {
      const { positive, negative } = metric
      return { kind: 'logit-difference', positive: [positive], negative: [negative], position }
    }
    case 'log-probability':
      return { kind: 'log-probability', token: metric.token, position }
  }
}

/** Which logits a run must give out for metrics of its rows. */
export const logitsFor = (metrics: readonly PlacedMetric[]): RunRequestInput['logits'] =>
  metrics.every(({ last }) => last) ? 'last' : 'all'

/**
 * The metric of row `row`, in float64 from float32 logits.
 * @param logits [batch, pos, d_vocab], or [batch, 1, d_vocab] of each row's last position
 */
export function metricOf(logits: Tensor | null, row: number, { metric, position }: PlacedMetric): number {
  if (logits === null) throw new PatchbayError('internal', 'The run gave no logits.')
  const [, positions, vocab] = logits.shape
  const start = (row * positions + (positions === 1 ? 0 : position)) * vocab
  const of = (token: number): number => logits.data[start + token]
  switch (metric.kind) {
    case 'logit':
      return of(metric.token)
    case 'logit-difference':
      return of(metric.positive) - of(metric.negative)
    case 'log-probability':
      return of(metric.token) - logSumExp(logits.data.subarray(start, start + vocab))
  }
}
