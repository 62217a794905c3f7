/**
 * The download of a model from the hub: it goes on while its dialog is closed, and where it stopped (cancelled, broken off,
 * engine gone) it goes on from there. One at a time.
 */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import { asPatchbayError } from '../../preload/errors'
import type { PatchbayError } from '../../preload/errors'
import type { DownloadPlan, DownloadProgress } from '../../preload/hub'
import { services } from '../services'
import { useEngine } from './engine'
import { useJobs } from './jobs'
import { useModels } from './models'
import { useNotices } from './notices'
import { useView } from './view'

export interface Download {
  plan: DownloadPlan
  progress: DownloadProgress | null
  /** `stopped`: by the person; `failed`: see `error`. Both go on from where they were. */
  state: 'running' | 'stopped' | 'failed'
  error: PatchbayError | null
}

/** After this many engine deaths during the same download it is no longer taken up by itself. */
const mostLosses = 2

/** The last part of owner/name. */
export const shortName = (repoId: string): string => repoId.slice(repoId.indexOf('/') + 1)

export const useDownloads = defineStore('downloads', () => {
  const engine = useEngine()
  const current = shallowRef<Download | null>(null)
  /** Counts downloads that ended or were stopped: what a plan said before of the cache is no longer right. */
  const ended = ref(0)
  let abort: AbortController | null = null
  let losses = 0

  const running = computed(() => current.value?.state === 'running')

  /**
   * Fetches what a plan says. When it is here it is opened if the dialog is still there, else a message offers to.
   * While one runs, another is not begun.
   */
  async function start(plan: DownloadPlan): Promise<void> {
    if (running.value) return
    losses = 0
    await fetch(plan)
  }

  async function fetch(plan: DownloadPlan): Promise<void> {
    const mine = (abort = new AbortController())
    current.value = { plan, progress: null, state: 'running', error: null }
    const job = useJobs().start(`Downloading ${shortName(plan.repoId)}`, () => mine.abort(), {
      background: true,
    })
    try {
      const { path } = await services().engine.call('hub.download', plan, {
        signal: mine.signal,
        onProgress: (progress) => {
          if (current.value?.state !== 'running') return
          current.value = { ...current.value, progress }
          if (progress.total > 0) job.progress(Math.min(1, progress.done / progress.total))
        },
      })
      current.value = null
      ended.value++
      arrived(plan, path)
    } catch (thrown) {
      const error = asPatchbayError(thrown)
      const progress = current.value?.progress ?? null
      if (mine.signal.aborted) {
        current.value = { plan, progress, state: 'stopped', error: null }
        ended.value++
      } else {
        if (error.code === 'engine.stopped') losses++
        current.value = { plan, progress, state: 'failed', error }
        if (!useView().hubOpen && !resumesByItself(error)) useNotices().report(error)
      }
    } finally {
      job.end()
    }
  }

  function arrived(plan: DownloadPlan, path: string): void {
    const view = useView()
    const open = () => useModels().openPath(path)
    if (view.hubOpen) {
      view.hubOpen = false
      void open()
    } else
      useNotices().done(`${plan.repoId} is on this machine now.`, {
        label: 'Open it',
        run: async () => void (await open()),
      })
  }

  const resumesByItself = (error: PatchbayError) => error.code === 'engine.stopped' && losses < mostLosses

  /** Goes on with what stopped. */
  async function resume(): Promise<void> {
    if (current.value !== null && !running.value) await fetch(current.value.plan)
  }
  function stop(): void {
    abort?.abort()
  }
  /** Forgets a download that stopped; what it fetched stays in the cache. */
  function dismiss(): void {
    if (!running.value) current.value = null
  }

  watch(
    () => (engine.ready ? engine.connection : null),
    (connection) => {
      const error = current.value?.error ?? null
      if (connection !== null && error !== null && resumesByItself(error)) void resume()
    },
  )

  return { current, running, ended, start, resume, stop, dismiss }
})
