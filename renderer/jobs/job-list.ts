/** Jobs of some kinds as a view lists them: followed while they wait or run, with their loss curves. */
import {
  computed,
  onScopeDispose,
  ref,
  shallowReactive,
  shallowRef,
  type ComputedRef,
  type Ref,
  type ShallowRef,
} from 'vue'
import { asPatchbayError, fromWire, type PatchbayError } from '../../preload/errors'
import type { JobRecord, LossPoint } from '../../preload/jobs'
import { services } from '../services'

export interface JobList {
  /** Newest first. */
  jobs: ComputedRef<readonly JobRecord[]>
  /** The list was read at least once. */
  loaded: Readonly<Ref<boolean>>
  /** Why the list could not be read, or the state of a job not be written. */
  error: Readonly<ShallowRef<PatchbayError | null>>
  chosen: ComputedRef<JobRecord | null>
  /** Loss curve of the chosen job, by steps. */
  points: ComputedRef<readonly LossPoint[]>
  choose: (id: string | null) => void
  refresh: () => Promise<void>
  start: (kind: string, input: unknown) => Promise<JobRecord>
  change: (what: 'cancel' | 'pause' | 'resume', id: string) => Promise<void>
  remove: (id: string) => Promise<void>
}

const isActive = ({ state }: JobRecord): boolean => state === 'queued' || state === 'running'

/** @param mine which kinds of jobs the view is about */
export function useJobList(mine: (kind: string) => boolean): JobList {
  const records = shallowReactive(new Map<string, JobRecord>())
  const curves = shallowReactive(new Map<string, readonly LossPoint[]>())
  const loaded = ref(false)
  const error = shallowRef<PatchbayError | null>(null)
  const chosenId = ref<string | null>(null)
  const watches = new Map<string, AbortController>()
  onScopeDispose(() => {
    for (const watch of watches.values()) watch.abort()
  })

  const jobs = computed(() => [...records.values()].sort((a, b) => (a.id < b.id ? 1 : -1)))
  const chosen = computed(() => (chosenId.value === null ? null : (records.get(chosenId.value) ?? null)))
  const points = computed(() => (chosenId.value === null ? [] : (curves.get(chosenId.value) ?? [])))

  async function refresh(): Promise<void> {
    error.value = null
    try {
      const list = await services().engine.call('jobs.list', {})
      records.clear()
      const jobs = list.jobs.filter(({ kind }) => mine(kind))
      for (const job of jobs) records.set(job.id, job)
      loaded.value = true
      const [problem] = [list.warning, ...list.unreadable.map((each) => each.error)]
      if (problem) error.value = fromWire(problem)
      for (const job of jobs) if (isActive(job)) void follow(job.id)
    } catch (thrown) {
      error.value = asPatchbayError(thrown)
    }
  }

  /** Follows a job to its end; of one that is over, this only fetches the curve. */
  async function follow(id: string): Promise<void> {
    if (watches.has(id)) return
    const watch = new AbortController()
    watches.set(id, watch)
    let seen: readonly LossPoint[] = []
    try {
      const job = await services().engine.call(
        'jobs.watch',
        { id },
        {
          signal: watch.signal,
          onProgress: (change) => {
            records.set(id, change.job)
            if (change.points.length === 0) return
            seen = [...seen, ...change.points]
            curves.set(id, seen)
          },
        },
      )
      if (records.has(id)) records.set(id, job)
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      if (problem.code !== 'run.cancelled' && problem.code !== 'engine.stopped') error.value = problem
    } finally {
      if (watches.get(id) === watch) watches.delete(id)
    }
  }

  function choose(id: string | null): void {
    chosenId.value = id
    if (id !== null) void follow(id)
  }
  async function start(kind: string, input: unknown): Promise<JobRecord> {
    const job = await services().engine.call('jobs.start', { kind, input })
    records.set(job.id, job)
    choose(job.id)
    return job
  }
  async function change(what: 'cancel' | 'pause' | 'resume', id: string): Promise<void> {
    const job = await services().engine.call(`jobs.${what}`, { id })
    records.set(id, job)
    if (isActive(job)) void follow(id)
  }
  async function remove(id: string): Promise<void> {
    await services().engine.call('jobs.remove', { id })
    records.delete(id)
    curves.delete(id)
    if (chosenId.value === id) chosenId.value = null
  }

  return { jobs, loaded, error, chosen, points, choose, refresh, start, change, remove }
}
