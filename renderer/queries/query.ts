/**
 * A call of the engine as a view sees it: asked again when its input changes, the picture before kept (stale) until the new
 * one is there, cancelled when nobody wants it any more, and asked again by itself when the engine comes back.
 */
import { computed, onActivated, onDeactivated, onScopeDispose, ref, shallowRef, watch } from 'vue'
import type { ComputedRef, Ref, ShallowRef } from 'vue'
import type { CallInput, CallName, CallOutput } from '../../preload/api'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import { services } from '../services'
import { useEngine } from '../stores/engine'
import { useJobs } from '../stores/jobs'
import { Recent } from './recent'

export interface Query<T> {
  /** The newest result; may belong to an earlier input, see `stale`. */
  data: Readonly<ShallowRef<T | null>>
  /** `data` belongs to an earlier input. */
  stale: ComputedRef<boolean>
  /** A call is under way, or waits for the engine. */
  pending: ComputedRef<boolean>
  /** 0 to 1; null while unknown. */
  fraction: Readonly<Ref<number | null>>
  error: Readonly<ShallowRef<PatchbayError | null>>
  retry: () => void
}

export interface QueryOptions {
  /** For the status bar: "Logit lens". */
  title: string
  /** Waits this long for the input to stand still, in milliseconds; for what follows the selection. */
  delay?: number
  /** Keeps this many results; the engine is not asked again for them. */
  remember?: number
}

/** After this many engine deaths during the same question it is no longer asked by itself. */
const mostLosses = 2

/** Share done of a progress report of the form {done, total}; null of any other. */
function fractionOf(progress: unknown): number | null {
  if (typeof progress !== 'object' || progress === null || !('done' in progress) || !('total' in progress))
    return null
  const { done, total } = progress
  return typeof done === 'number' && typeof total === 'number' && total > 0 ? done / total : null
}

/**
 * @param name call of the contract
 * @param input reactive getter of its input; null where there is nothing to ask, which also clears the result
 */
export function useQuery<N extends CallName>(
  name: N,
  input: () => CallInput<N> | null,
  { title, delay = 0, remember = 0 }: QueryOptions,
): Query<CallOutput<N>> {
  const engine = useEngine()
  const jobs = useJobs()
  const recent = new Recent<CallOutput<N>>(remember)
  const data: ShallowRef<CallOutput<N> | null> = shallowRef(null)
  const error = shallowRef<PatchbayError | null>(null)
  const fraction = ref<number | null>(null)
  /** The question as text, to see whether it changed; null for none. */
  const wanted = computed(() => {
    const value = input()
    return value === null ? null : JSON.stringify(value)
  })
  const answered = ref<string | null>(null)
  const awake = ref(true)
  let abort: AbortController | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  let losses = 0

  function answer(key: string | null, output: CallOutput<N> | null): void {
    data.value = output
    answered.value = key
    error.value = null
    losses = 0
  }

  async function ask(): Promise<void> {
    abort?.abort()
    const value = input()
    const key = wanted.value
    if (value === null || key === null) return
    error.value = null
    fraction.value = null
    const mine = (abort = new AbortController())
    let byPerson = false
    const job = jobs.start(title, () => {
      byPerson = true
      mine.abort()
    })
    try {
      const output = await services().engine.call(name, value, {
        signal: mine.signal,
        onProgress: (progress) => {
          const share = fractionOf(progress)
          if (abort !== mine || share === null) return
          fraction.value = share
          job.progress(share)
        },
      })
      if (abort !== mine) return
      recent.put(key, output)
      answer(key, output)
    } catch (thrown) {
      if (abort === mine) fail(asPatchbayError(thrown), byPerson)
    } finally {
      job.end()
      if (abort === mine) abort = null
    }
  }

  function fail(problem: PatchbayError, byPerson: boolean): void {
    if (byPerson)
      error.value = new PatchbayError('run.cancelled', `${title} was cancelled.`, {
        next: 'Try again when you want it.',
      })
    // A stopped engine is no error of this view, which asks again when it is back; unless this question is what kills it.
    else if (problem.code === 'engine.stopped' && ++losses < mostLosses) return
    else error.value = problem
  }

  /** Asks where the result does not answer the input; sleeps while the view is hidden or the engine away. */
  function check(): void {
    clearTimeout(timer)
    const key = wanted.value
    if (key === null || key === answered.value) {
      abort?.abort()
      abort = null
      if (key === null) answer(null, null)
      return
    }
    const known = recent.get(key)
    if (known !== undefined) {
      abort?.abort()
      abort = null
      answer(key, known)
    } else if (awake.value && engine.ready && error.value === null)
      if (delay === 0) void ask()
      else timer = setTimeout(() => void ask(), delay)
  }

  const stop = watch(
    [wanted, () => engine.connection, () => engine.ready, awake],
    ([key], [before]) => {
      if (key !== before) {
        error.value = null
        losses = 0
      }
      check()
    },
    { flush: 'post' },
  )
  check()
  onDeactivated(() => (awake.value = false))
  onActivated(() => (awake.value = true))
  onScopeDispose(() => {
    stop()
    clearTimeout(timer)
    abort?.abort()
  })

  return {
    data,
    stale: computed(() => data.value !== null && wanted.value !== answered.value),
    pending: computed(() => wanted.value !== null && wanted.value !== answered.value && error.value === null),
    fraction,
    error,
    retry: () => void ask(),
  }
}
