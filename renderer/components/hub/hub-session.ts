/**
 * What is looked for on the hub and what was found: kept while the dialog is closed. The hub is asked when the person asks
 * for it, never by opening the dialog or by typing.
 */
import { computed, inject, provide, ref, watch, type ComputedRef, type InjectionKey, type Ref } from 'vue'
import { hubRequest, isRepoId, weightFormats } from '../../../preload/hub'
import type { CachedModels, DownloadPlan, HubModel, HubRequest, HubSearch } from '../../../preload/hub'
import { useQuery, type Query } from '../../queries/query'
import { useDownloads } from '../../stores/downloads'
import { useView } from '../../stores/view'

export type HubTab = 'find' | 'machine'
export const formatChoices = ['any', ...weightFormats] as const

/** So many results at first, and when more are asked for. */
const few = 20
const many = 100

export interface HubSession {
  tab: Ref<HubTab>
  /** What stands in the search field. */
  draft: Ref<string>
  sort: Ref<HubSearch['sort']>
  format: Ref<(typeof formatChoices)[number]>
  /** What the hub was asked for; null before the first search. */
  asked: ComputedRef<HubSearch | null>
  found: Query<HubModel[]>
  /** Whether the hub may have more results than are shown. */
  hasMore: ComputedRef<boolean>
  search: () => void
  showMore: () => void
  /** The draft, where it is the full name of a repository, which a search might not list. */
  named: ComputedRef<string | null>
  chosen: Ref<HubRequest | null>
  choose: (repoId: string) => void
  plan: Query<DownloadPlan>
  cached: Query<CachedModels>
}

const key: InjectionKey<HubSession> = Symbol('hub session')

/** Made once, by the dialog. */
export function provideHubSession(): HubSession {
  const view = useView()
  const downloads = useDownloads()
  const tab = ref<HubTab>('find')
  const draft = ref('')
  const sort = ref<HubSearch['sort']>('downloads')
  const format = ref<(typeof formatChoices)[number]>('any')
  const submitted = ref<string | null>(null)
  const limit = ref(few)
  const chosen = ref<HubRequest | null>(null)

  const asked = computed<HubSearch | null>(() =>
    submitted.value === null
      ? null
      : {
          query: submitted.value,
          sort: sort.value,
          format: format.value === 'any' ? null : format.value,
          limit: limit.value,
        },
  )
  const found = useQuery('hub.search', () => asked.value, { title: 'Searching the hub', remember: 8 })
  const plan = useQuery('hub.plan', () => chosen.value, { title: 'Looking the model up' })
  const cached = useQuery('hub.cached', () => (view.hubOpen && tab.value === 'machine' ? {} : null), {
    title: 'Looking for models on this machine',
  })
  // What is cached has changed.
  watch(
    () => downloads.ended,
    () => {
      if (chosen.value !== null) plan.retry()
    },
  )

  const session: HubSession = {
    tab,
    draft,
    sort,
    format,
    asked,
    found,
    hasMore: computed(() => limit.value < many && found.data.value?.length === limit.value),
    search() {
      const query = draft.value.trim().slice(0, 200)
      if (query === '') return
      const again = submitted.value === query && found.error.value !== null
      limit.value = few
      submitted.value = query
      if (again) found.retry()
    },
    showMore: () => (limit.value = many),
    named: computed(() => {
      const name = draft.value.trim()
      return name.includes('/') && isRepoId(name) ? name : null
    }),
    chosen,
    choose: (repoId) => (chosen.value = hubRequest.parse({ repoId })),
    plan,
    cached,
  }
  provide(key, session)
  return session
}

/** @throws Error outside of the dialog; that is a defect */
export function useHubSession(): HubSession {
  const session = inject(key)
  if (session === undefined) throw new Error('useHubSession() outside of the hub dialog')
  return session
}
