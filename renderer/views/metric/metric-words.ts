/** How metrics are written. */
import type { TokenInfo } from '../../../preload/prompt'
import { tokenLabel } from '../../components/token-label'
import { linearText, type LinearMetric, type LinearOf } from './linear'

/** Metrics that can be chosen; a view takes those that it can compute. */
export const metricKinds = [
  { value: 'logit-difference', label: 'Logit difference' },
  { value: 'logit', label: 'Logit' },
  { value: 'log-probability', label: 'Log-probability' },
  { value: 'probability', label: 'Probability' },
  { value: 'rank', label: 'Rank' },
  { value: 'kl', label: 'KL from clean' },
  { value: 'linear', label: 'Weighted sum' },
] as const
export type MetricKind = (typeof metricKinds)[number]['value']

/**
 * "logit( Mary) − logit( John)"
 * @param linear where views can compute weighted sums
 */
export function metricText(
  kind: MetricKind,
  towards: TokenInfo | null,
  against: TokenInfo | null,
  linear: LinearMetric = { of: 'logits', terms: [] },
): string {
  const name = (token: TokenInfo | null): string => (token === null ? '…' : tokenLabel(token))
  switch (kind) {
    case 'logit':
      return `logit(${name(towards)})`
    case 'log-probability':
      return `ln p(${name(towards)})`
    case 'probability':
      return `p(${name(towards)})`
    case 'rank':
      return `rank of ${name(towards)}`
    case 'kl':
      return 'KL(clean ‖ run)'
    case 'logit-difference':
      return `logit(${name(towards)}) − logit(${name(against)})`
    case 'linear':
      return linearText(linear)
  }
}

/** The unit of a metric. @param of what a weighted sum is of */
export function metricUnit(kind: MetricKind, of: LinearOf = 'logits'): string {
  switch (kind) {
    case 'logit':
    case 'logit-difference':
      return 'logits'
    case 'log-probability':
    case 'kl':
      return 'nats'
    case 'probability':
      return 'probability'
    case 'rank':
      return 'ranks'
    case 'linear':
      return { logits: 'logits', probabilities: 'probability', 'log-probabilities': 'nats' }[of]
  }
}
