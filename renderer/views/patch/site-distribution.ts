/** The next-token distribution of one patched run, beside those of the two prompts as they are. */
import type { TokenInfo } from '../../../preload/prompt'
import type { NextTokens } from '../../../preload/views'

/** Likeliest tokens of the clean and of the corrupt prompt, after their last token; null where they are not there yet. */
export interface Baselines {
  clean: NextTokens | null
  corrupt: NextTokens | null
}

export interface SiteDistribution {
  /** Probability of each token; NaN where it is not among a baseline's likeliest. */
  patched: number[]
  clean: number[]
  corrupt: number[]
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

/** Ids worth showing: what the patched run and what both prompts expect most. */
export function shownIds(patched: Float64Array, { clean, corrupt }: Baselines): number[] {
  const tops = [...(clean?.top.slice(0, 3) ?? []), ...(corrupt?.top.slice(0, 3) ?? [])]
  return [...new Set([...likeliest(patched, 6), ...tops.map(({ id }) => id)])]
}

export function distributionOf(
  tokens: readonly TokenInfo[],
  patched: Float64Array,
  { clean, corrupt }: Baselines,
): SiteDistribution {
  const of = (next: NextTokens | null) =>
    tokens.map(({ id }) => next?.top.find((candidate) => candidate.id === id)?.probability ?? NaN)
  return { patched: tokens.map(({ id }) => patched[id]), clean: of(clean), corrupt: of(corrupt) }
}
