/** Noise on the embeddings of the corrupt prompt, which may then be the clean one (causal tracing, Meng et al. 2022). */
import { computed, reactive, ref, type ComputedRef, type Ref } from 'vue'
import type { EncodedToken } from '../../../preload/prompt'
import { mirroredPositions } from '../../pairs/mirrored'
import type { ListedPair } from './pair-list'

/** What makes the corrupt run: another prompt, noise on the clean one, or both. */
export type Corruption = 'prompt' | 'noise' | 'both'

export interface PairNoise {
  by: Ref<Corruption>
  /** Standard deviation, in the units of the embeddings. */
  std: Ref<number>
  seed: Ref<number>
  /** Whether embeddings get noise. */
  on: ComputedRef<boolean>
  /** The tokens that are run as the corrupt prompt of a pair; null while they are missing. */
  corruptOf: (pair: ListedPair) => readonly EncodedToken[] | null
  /** Positions with noise: chosen, or those that correspond to the ones chosen in the first pair. */
  positionsOf: (pair: ListedPair) => readonly number[]
  toggle: (pair: ListedPair, position: number) => void
}

/** @param first the pair of the bar */
export function usePairNoise(first: () => ListedPair): PairNoise {
  const by = ref<Corruption>('prompt')
  const std = ref(0.1)
  const seed = ref(0)
  const chosen = reactive(new Map<number, number[]>())

  function corruptOf({ encoded }: ListedPair): readonly EncodedToken[] | null {
    if (encoded === null) return null
    const tokens = by.value === 'noise' ? encoded.clean : encoded.corrupt
    return tokens.length === 0 ? null : tokens
  }
  function positionsOf(pair: ListedPair): readonly number[] {
    const tokens = corruptOf(pair)
    if (tokens === null) return []
    const own = chosen.get(pair.id)
    const original = corruptOf(first())
    const found =
      own ??
      (pair.id === 0 || original === null ? [] : mirroredPositions(chosen.get(0) ?? [], original, tokens))
    return found.filter((position) => position < tokens.length)
  }
  return {
    by,
    std,
    seed,
    on: computed(() => by.value !== 'prompt'),
    corruptOf,
    positionsOf,
    toggle(pair, position) {
      const before = positionsOf(pair)
      chosen.set(
        pair.id,
        before.includes(position)
          ? before.filter((one) => one !== position)
          : [...before, position].sort((a, b) => a - b),
      )
    },
  }
}
