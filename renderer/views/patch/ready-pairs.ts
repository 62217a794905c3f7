/** The listed pairs as a sweep takes them. */
import type { CallInput } from '../../../preload/api'
import type { EncodedToken } from '../../../preload/prompt'
import type { SweepMetricInput } from '../../../preload/sweep'
import type { ListedPair } from './pair-list'
import type { PairNoise } from './pair-noise'

export type PairInput = CallInput<'sweep.run'>['pairs'][number]

export interface ReadyPair {
  listed: ListedPair
  clean: readonly EncodedToken[]
  corrupt: readonly EncodedToken[]
  metric: SweepMetricInput
  input: PairInput
}

const idsOf = (tokens: readonly EncodedToken[]): number[] => tokens.map(({ id }) => id)

/**
 * @param metricOf the metric with a pair's own tokens; null while one is missing
 * @param own whether each pair brings its metric along: answers differ from pair to pair
 * @returns null for a pair that something is missing of
 */
export function readyPair(
  listed: ListedPair,
  noise: PairNoise,
  metricOf: (pair: ListedPair) => SweepMetricInput | null,
  own: boolean,
): ReadyPair | null {
  const { encoded } = listed
  const corrupt = noise.corruptOf(listed)
  const metric = metricOf(listed)
  if (encoded === null || corrupt === null || metric === null) return null
  const positions = noise.positionsOf(listed)
  if (noise.on.value && positions.length === 0) return null
  const { clean } = encoded
  return {
    listed,
    clean,
    corrupt,
    metric,
    input: {
      clean: idsOf(clean),
      corrupt: idsOf(corrupt),
      ...(noise.on.value
        ? { noise: { positions: [...positions], std: noise.std.value, seed: noise.seed.value } }
        : {}),
      ...(clean.length === corrupt.length ? {} : { alignment: 'auto' as const }),
      ...(own ? { metrics: [metric] } : {}),
    },
  }
}

/** Why a pair is left out, in words; null where it is not. */
export function leftOut(
  { encoded, error, clean, corrupt }: ListedPair,
  ready: boolean,
  noisy: boolean,
): string | null {
  if (ready) return null
  if (error !== null) return error.message
  if (clean === '' || corrupt === '') return 'one of its prompts is missing'
  if (encoded === null) return 'it is being encoded'
  return noisy ? 'no token is chosen for noise, or a metric token is missing' : 'a metric token is missing'
}

/** Whether averages by position make sense: every prompt that is run has the same number of tokens. */
export const sameLength = (pairs: readonly ReadyPair[], direction: 'denoising' | 'noising'): boolean =>
  new Set(pairs.map((pair) => (direction === 'noising' ? pair.clean : pair.corrupt).length)).size <= 1
