/** The next-token distribution of one patched run, beside those of the two prompts as they are. */
import type { CallInput } from '../../../preload/api'
import type { TokenInfo } from '../../../preload/prompt'
import type { NextTokens } from '../../../preload/views'
import { services } from '../../services'

export interface SiteDistribution {
  tokens: TokenInfo[]
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

/**
 * @param input of the sweep, with the site
 * @param baselines likeliest tokens of the clean and of the corrupt prompt, after their last token
 */
export async function siteDistribution(
  input: CallInput<'sweep.site'>,
  baselines: { clean: NextTokens | null; corrupt: NextTokens | null },
  signal: AbortSignal,
): Promise<SiteDistribution> {
  const { engine } = services()
  const { request, tensors } = await engine.call('sweep.site', input, { signal })
  const run = await engine.call(
    'run.execute',
    { model: input.model, request: { ...request, logits: 'last' }, tensors },
    { signal },
  )
  const vocab = run.logits?.shape.at(-1) ?? 0
  const p = probabilities(run.logits?.data.subarray(0, vocab) ?? [])
  const tops = [...(baselines.clean?.top.slice(0, 3) ?? []), ...(baselines.corrupt?.top.slice(0, 3) ?? [])]
  const ids = [...new Set([...likeliest(p, 6), ...tops.map(({ id }) => id)])]
  const tokens = await engine.call('tokens.describe', { model: input.model, ids }, { signal })
  const of = (next: NextTokens | null) =>
    ids.map((id) => next?.top.find((candidate) => candidate.id === id)?.probability ?? NaN)
  return {
    tokens,
    patched: ids.map((id) => p[id]),
    clean: of(baselines.clean),
    corrupt: of(baselines.corrupt),
  }
}
