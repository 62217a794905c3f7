/** The next-token distribution of one patched run, beside the same without the patch and that of the other prompt. */
import type { TokenInfo } from '../../../preload/prompt'
import type { NextTokens } from '../../../preload/views'

/** Probabilities of all tokens, with the place patched and without. */
export interface PatchedRows {
  patched: Float64Array
  base: Float64Array
}

export interface SiteDistribution {
  /** Probability of each token; NaN where it is not among the other prompt's likeliest. */
  patched: number[]
  base: number[]
  other: number[]
}

/** softmax in float64. */
export function probabilities(logits: ArrayLike<number>): Float64Array {
  let top = -Infinity
  for (let i = 0; i < logits.length; i++) top = Math.max(top, logits[i])
  const exps = Float64Array.from(logits, (logit) => Math.exp(logit - top))
  const sum = exps.reduce((a, b) => a + b, 0)
  return exps.map((x) => x / sum)
}

/** The `count` likeliest ids. */
export const likeliest = (p: Float64Array, count: number): number[] =>
  Array.from(p.keys())
    .sort((a, b) => p[b] - p[a])
    .slice(0, count)

/** Less is no bar. */
const visible = 1e-3
const least = 3

/**
 * Ids worth showing: what the patched run, the base and the other prompt (null without it) expect most, down to 0.1 %; at
 * least three of the patched run.
 */
export function shownIds({ patched, base }: PatchedRows, other: NextTokens | null): number[] {
  const own = likeliest(patched, 6).filter((id, i) => i < least || patched[id] >= visible)
  const beside = likeliest(base, 3).filter((id) => base[id] >= visible)
  const tops = (other?.top.slice(0, 3) ?? []).filter(({ probability }) => probability >= visible)
  return [...new Set([...own, ...beside, ...tops.map(({ id }) => id)])]
}

export const distributionOf = (
  tokens: readonly TokenInfo[],
  { patched, base }: PatchedRows,
  other: NextTokens | null,
): SiteDistribution => ({
  patched: tokens.map(({ id }) => patched[id]),
  base: tokens.map(({ id }) => base[id]),
  other: tokens.map(({ id }) => other?.top.find((one) => one.id === id)?.probability ?? NaN),
})
