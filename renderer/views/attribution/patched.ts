/** Places that were patched for real, beside what was estimated for them. They belong to one pair, metric and direction. */
import { computed, ref, shallowRef, watch } from 'vue'
import type { ComputedRef, Ref, ShallowRef } from 'vue'
import type { CallInput } from '../../../preload/api'
import type { PatchPlace } from '../../../preload/attribution'
import type { PatchbayError } from '../../../preload/errors'
import { asPatchbayError } from '../../../preload/errors'
import type { Evidence } from '../../../preload/views'
import { services } from '../../services'
import { useJobs } from '../../stores/jobs'
import { placeName } from './words'

export interface Patched {
  name: string
  place: PatchPlace
  estimate: number
  exact: number
}

export interface PatchedPlaces {
  /** In the order in which they were patched. */
  list: Readonly<ShallowRef<readonly Patched[]>>
  evidence: Readonly<ShallowRef<Evidence | null>>
  running: Readonly<Ref<boolean>>
  error: Readonly<ShallowRef<PatchbayError | null>>
  /** Patches places that were not yet. */
  patch: (places: readonly { place: PatchPlace; estimate: number }[]) => Promise<void>
  stop: () => void
  /** Of |exact − estimate| over all, its mean; null without any. */
  meanError: ComputedRef<number | null>
}

/** @param about what the places are patched in; another one empties the list */
export function usePatchedPlaces(
  about: () => Omit<CallInput<'attribution.patch'>, 'places'> | null,
): PatchedPlaces {
  const jobs = useJobs()
  const list = shallowRef<readonly Patched[]>([])
  const evidence = shallowRef<Evidence | null>(null)
  const running = ref(false)
  const error = shallowRef<PatchbayError | null>(null)
  let abort: AbortController | null = null

  const stop = (): void => abort?.abort()
  watch(
    () => JSON.stringify(about()),
    () => {
      stop()
      list.value = []
      evidence.value = null
      error.value = null
    },
  )

  async function patch(places: readonly { place: PatchPlace; estimate: number }[]): Promise<void> {
    const asked = about()
    const known = new Set(list.value.map(({ name }) => name))
    const fresh = places.filter(({ place }) => !known.has(placeName(place)))
    if (asked === null || fresh.length === 0) return
    stop()
    const mine = (abort = new AbortController())
    running.value = true
    error.value = null
    const job = jobs.start('Patching', () => mine.abort())
    try {
      const result = await services().engine.call(
        'attribution.patch',
        { ...asked, places: fresh.map(({ place }) => place) },
        { signal: mine.signal, onProgress: ({ done, total }) => job.progress(done / total) },
      )
      if (abort !== mine) return
      evidence.value = result.evidence
      list.value = [
        ...list.value,
        ...fresh.map(({ place, estimate }, i) => ({
          name: placeName(place),
          place,
          estimate,
          exact: result.places[i].effect,
        })),
      ]
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      if (abort === mine && problem.code !== 'run.cancelled') error.value = problem
    } finally {
      job.end()
      if (abort === mine) running.value = false
    }
  }

  const meanError = computed(() =>
    list.value.length === 0
      ? null
      : list.value.reduce((sum, { estimate, exact }) => sum + Math.abs(exact - estimate), 0) /
        list.value.length,
  )
  return { list, evidence, running, error, patch, stop, meanError }
}
