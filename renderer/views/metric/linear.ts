/** A metric of one's own: a weighted sum over the next-token distribution. */
import type { TokenInfo } from '../../../preload/prompt'
import type { SweepMetricInput } from '../../../preload/sweep'
import { formatNumber } from '../../charts/numbers'
import { tokenLabel } from '../../components/token-label'

export type LinearOf = NonNullable<Extract<SweepMetricInput, { kind: 'linear' }>['of']>

export interface LinearTerm {
  token: TokenInfo
  weight: number
}

/** Σ weight · x(token), x being logits, probabilities or log-probabilities. */
export interface LinearMetric {
  of: LinearOf
  terms: readonly LinearTerm[]
}

export const linearKinds = [
  { value: 'logits', label: 'logits' },
  { value: 'probabilities', label: 'probabilities' },
  { value: 'log-probabilities', label: 'log-probabilities' },
] as const satisfies readonly { value: LinearOf; label: string }[]

/** As many as a metric takes. */
export const mostTerms = 1000

/** With a token's weight set; a token that was there keeps its place. */
export function withTerm(terms: readonly LinearTerm[], token: TokenInfo, weight: number): LinearTerm[] {
  const there = terms.some((term) => term.token.id === token.id)
  return there
    ? terms.map((term) => (term.token.id === token.id ? { token, weight } : term))
    : [...terms, { token, weight }].slice(0, mostTerms)
}

/** Why it can not be measured, in a sentence; null where it can. */
export function linearProblem({ terms }: LinearMetric): string | null {
  if (terms.length === 0) return 'Choose tokens: click one to count it, or − to count it against.'
  if (terms.some(({ weight }) => !Number.isFinite(weight))) return 'A weight is not a number.'
  if (terms.every(({ weight }) => weight === 0)) return 'All weights are 0, so the metric is 0 everywhere.'
  return null
}

/** "logit: 1 · Mary − 0.5 · John", cut after a few terms. */
export function linearText({ of, terms }: LinearMetric, most = 3): string {
  const name = { logits: 'logit', probabilities: 'p', 'log-probabilities': 'ln p' }[of]
  const parts = terms.slice(0, most).map(({ token, weight }, i) => {
    const sign = weight < 0 ? (i === 0 ? '−' : ' − ') : i === 0 ? '' : ' + '
    const size = Math.abs(weight)
    return `${sign}${size === 1 ? '' : `${formatNumber(size, 3)} `}${name}(${tokenLabel(token)})`
  })
  if (terms.length === 0) return `Σ weight · ${name}`
  return parts.join('') + (terms.length > most ? ` + ${terms.length - most} more` : '')
}
