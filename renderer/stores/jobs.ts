/** What is being computed at this moment, for the status bar: title, progress, cancel. Nothing here decides anything. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'

export interface Job {
  id: number
  title: string
  /** 0 to 1; null while unknown. */
  fraction: number | null
  cancel: () => void
  /** No picture waits for it. */
  background: boolean
}

export const useJobs = defineStore('jobs', () => {
  const running = shallowRef<readonly Job[]>([])
  let nextId = 0

  /** Something is computed that a picture waits for. */
  const busy = computed(() => running.value.some((job) => !job.background))
  /** The one to show: what started first. */
  const foremost = computed<Job | null>(() => running.value[0] ?? null)

  /** Lists a job; the returned handle reports its progress and its end. */
  function start(
    title: string,
    cancel: () => void,
    { background = false } = {},
  ): { progress(fraction: number): void; end(): void } {
    const id = nextId++
    running.value = [...running.value, { id, title, fraction: null, cancel, background }]
    return {
      progress(fraction) {
        running.value = running.value.map((job) => (job.id === id ? { ...job, fraction } : job))
      },
      end() {
        running.value = running.value.filter((job) => job.id !== id)
      },
    }
  }
  function cancelAll(): void {
    for (const job of running.value) job.cancel()
  }

  return { running, busy, foremost, start, cancelAll }
})
