/** The collections as the data view lists them, the chosen one described, and what can be done with them. */
import { computed, ref, watch, type ComputedRef } from 'vue'
import type { Collection, CollectionSummary } from '../../../preload/collections'
import { panelState, type PanelState } from '../../components/panel-state'
import { useQuery } from '../../queries/query'
import { services } from '../../services'

export interface CollectionLibrary {
  /** Pinned ones first, then newest first. */
  list: ComputedRef<readonly CollectionSummary[]>
  listState: ComputedRef<PanelState>
  chosenId: ComputedRef<string | null>
  chosen: ComputedRef<Collection | null>
  chosenState: ComputedRef<PanelState>
  choose: (id: string | null) => void
  /** Asks the engine for all of it again. */
  refresh: () => void
  label: (id: string, change: { name?: string; note?: string; pinned?: boolean }) => Promise<void>
  remove: (id: string) => Promise<void>
}

export function useCollectionLibrary(): CollectionLibrary {
  const id = ref<string | null>(null)
  const all = useQuery('collections.list', () => ({}), { title: 'Collections' })
  const one = useQuery('collections.describe', () => (id.value === null ? null : { id: id.value }), {
    title: 'Collection',
  })
  const list = computed(() =>
    [...(all.data.value ?? [])].sort(
      (a, b) => Number(b.pinned) - Number(a.pinned) || (a.created < b.created ? 1 : -1),
    ),
  )
  // Of the one before, while the next is asked for.
  const chosen = computed(() => (one.data.value?.id === id.value ? one.data.value : null))

  function refresh(): void {
    all.retry()
    if (id.value !== null) one.retry()
  }
  // One that another window or the command line removed.
  watch(all.data, (found) => {
    if (found !== null && !found.some((each) => each.id === id.value)) id.value = null
  })

  return {
    list,
    listState: panelState(all),
    chosenId: computed(() => id.value),
    chosen,
    chosenState: panelState(one),
    choose: (next) => (id.value = next),
    refresh,
    async label(of, change) {
      await services().engine.call('collections.label', { id: of, ...change })
      refresh()
    },
    async remove(of) {
      await services().engine.call('collections.remove', { id: of })
      if (id.value === of) id.value = null
      all.retry()
    },
  }
}
