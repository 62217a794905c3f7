/**
 * The tokens that belong to the picture on screen. While a new prompt is computed the old picture stays, and must keep its
 * old labels.
 */
import { shallowRef, watch } from 'vue'
import type { ShallowRef } from 'vue'
import type { EncodedToken } from '../../../preload/prompt'
import type { LensMap } from '../../../preload/views'
import type { Query } from '../../queries/query'
import type { Slot } from '../../stores/prompt'

export function useShownTokens(
  slot: Slot,
  lens: Query<LensMap>,
): Readonly<ShallowRef<readonly EncodedToken[]>> {
  const tokens = shallowRef<readonly EncodedToken[]>([])
  watch(
    [() => slot.encoded, lens.data, lens.stale],
    () => {
      if (!lens.stale.value) tokens.value = slot.encoded?.tokens ?? []
    },
    { immediate: true, flush: 'sync' },
  )
  return tokens
}
