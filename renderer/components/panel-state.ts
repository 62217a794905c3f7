/** The states of a panel, and a query's state in that form. */
import { computed } from 'vue'
import type { ComputedRef } from 'vue'
import type { PatchbayError } from '../../preload/errors'
import type { Query } from '../queries/query'

/** What a panel needs of a query (see queries/query.ts), refs unwrapped. */
export interface PanelState {
  /** There is something to show, perhaps an older result. */
  filled: boolean
  stale: boolean
  pending: boolean
  fraction: number | null
  error: PatchbayError | null
  retry?: () => void
}

export const panelState = <T>(query: Query<T>): ComputedRef<PanelState> =>
  computed(() => ({
    filled: query.data.value !== null,
    stale: query.stale.value,
    pending: query.pending.value,
    fraction: query.fraction.value,
    error: query.error.value,
    retry: query.retry,
  }))
