/** The rows of a table, fetched in pages as they come into sight; pages that were long out of sight are let go. */
import { onScopeDispose, ref, shallowReactive, shallowRef, watch, type Ref, type ShallowRef } from 'vue'
import type { CollectionRow } from '../../../../preload/collections'
import { asPatchbayError, type PatchbayError } from '../../../../preload/errors'
import { services } from '../../../services'
import { useEngine } from '../../../stores/engine'
import { useJobs } from '../../../stores/jobs'

export interface RowQuestion {
  id: string
  filter: string
  sort: { column: string; descending: boolean } | null
}

export interface RowPages {
  total: Readonly<Ref<number>>
  row: (index: number) => CollectionRow | undefined
  /** Fetches the rows [from, to) that are not there. */
  need: (from: number, to: number) => void
  /** The question's first page is under way. */
  pending: Readonly<Ref<boolean>>
  error: Readonly<ShallowRef<PatchbayError | null>>
  retry: () => void
}

const pageSize = 100
/** Pages that are kept. */
const most = 60

/** @param question reactive getter */
export function useRowPages(question: () => RowQuestion): RowPages {
  const engine = useEngine()
  const jobs = useJobs()
  const pages = shallowReactive(new Map<number, readonly CollectionRow[]>())
  const loading = new Set<number>()
  const total = ref(0)
  const pending = ref(false)
  const error = shallowRef<PatchbayError | null>(null)
  let abort = new AbortController()

  async function fetchPage(page: number): Promise<void> {
    if (loading.has(page) || !engine.ready) return
    const mine = abort
    loading.add(page)
    const job = jobs.start('Rows', () => mine.abort())
    try {
      const answer = await services().engine.call(
        'collections.rows',
        { ...question(), offset: page * pageSize, count: pageSize },
        { signal: mine.signal },
      )
      if (abort !== mine) return
      if (page === 0 && pending.value) {
        pages.clear()
        pending.value = false
      }
      total.value = answer.total
      pages.set(page, answer.rows)
      for (const oldest of pages.keys()) {
        if (pages.size <= most) break
        if (oldest !== page) pages.delete(oldest)
      }
      error.value = null
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      if (abort !== mine || problem.code === 'run.cancelled' || problem.code === 'engine.stopped') return
      error.value = problem
      pending.value = false
    } finally {
      job.end()
      if (abort === mine) loading.delete(page)
    }
  }
  function restart(): void {
    abort.abort()
    abort = new AbortController()
    loading.clear()
    pending.value = true
    error.value = null
    void fetchPage(0)
  }
  watch([() => JSON.stringify(question()), () => engine.connection], restart, { immediate: true })
  onScopeDispose(() => abort.abort())

  return {
    total,
    row: (index) => pages.get(Math.floor(index / pageSize))?.at(index % pageSize),
    need(from, to) {
      if (pending.value) return
      for (let page = Math.floor(from / pageSize); page * pageSize < Math.min(to, total.value); page++)
        if (!pages.has(page)) void fetchPage(page)
    },
    pending,
    error,
    retry: restart,
  }
}
