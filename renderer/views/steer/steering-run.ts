/**
 * Baseline and steered continuation as they stream in. A change of what is asked cancels the run under way and starts
 * another after a pause; a late report of a cancelled run is never shown.
 */
import {
  onActivated,
  onDeactivated,
  onScopeDispose,
  ref,
  shallowRef,
  watch,
  type Ref,
  type ShallowRef,
} from 'vue'
import type { CallInput, CallOutput } from '../../../preload/api'
import type { PatchbayError } from '../../../preload/errors'
import { asPatchbayError } from '../../../preload/errors'
import type { SteerStep } from '../../../preload/views'
import { services } from '../../services'
import { useEngine } from '../../stores/engine'
import { useJobs } from '../../stores/jobs'

export type SteerRequest = CallInput<'steer.compare'>
export type SteerOutcome = CallOutput<'steer.compare'>

export interface SteeringRun {
  steps: Readonly<ShallowRef<readonly SteerStep[]>>
  /** Null until the run ended by itself. */
  outcome: Readonly<ShallowRef<SteerOutcome | null>>
  running: Readonly<Ref<boolean>>
  /** Stopped by the person: what there is stays. */
  stopped: Readonly<Ref<boolean>>
  error: Readonly<ShallowRef<PatchbayError | null>>
  start: () => Promise<void>
  stop: () => void
}

/** Pause after the last change, in milliseconds: a slider that is still moving starts nothing. */
export const pause = 250

/** Tokens may arrive faster than anyone reads them: they are shown in batches this far apart, in milliseconds. */
const frameTime = 32

/** @param request reactive; null where there is nothing to run */
export function useSteeringRun(request: () => SteerRequest | null): SteeringRun {
  const engine = useEngine()
  const jobs = useJobs()
  const steps = shallowRef<readonly SteerStep[]>([])
  const outcome = shallowRef<SteerOutcome | null>(null)
  const running = ref(false)
  const stopped = ref(false)
  const error = shallowRef<PatchbayError | null>(null)
  let abort: AbortController | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  let awake = true
  /** The request of the run that is shown, as JSON. */
  let shown = ''

  async function start(): Promise<void> {
    clearTimeout(timer)
    abort?.abort()
    const asked = request()
    if (asked === null || !engine.ready) return
    const mine = (abort = new AbortController())
    shown = JSON.stringify(asked)
    steps.value = []
    outcome.value = null
    error.value = null
    stopped.value = false
    running.value = true
    const job = jobs.start('Steering', stop)
    const total = asked.maxTokens ?? 48
    const arrived: SteerStep[] = []
    let frame: ReturnType<typeof setTimeout> | undefined
    const show = () => {
      clearTimeout(frame)
      frame = undefined
      if (abort !== mine) return
      steps.value = [...arrived]
      job.progress(Math.min(1, arrived.length / total))
    }
    try {
      const result = await services().engine.call('steer.compare', asked, {
        signal: mine.signal,
        onProgress: (step) => {
          arrived.push(step)
          frame ??= setTimeout(show, frameTime)
        },
      })
      if (abort !== mine) return
      steps.value = result.steps
      outcome.value = result
    } catch (thrown) {
      show()
      const problem = asPatchbayError(thrown)
      if (abort === mine && problem.code !== 'run.cancelled') error.value = problem
    } finally {
      clearTimeout(frame)
      job.end()
      if (abort === mine) {
        running.value = false
        abort = null
      }
    }
  }
  function stop(): void {
    clearTimeout(timer)
    if (abort === null) return
    stopped.value = true
    abort.abort()
  }
  /** Runs what is asked now, unless it is what is shown. */
  function follow(): void {
    clearTimeout(timer)
    const asked = request()
    if (asked === null) {
      abort?.abort()
      steps.value = []
      outcome.value = null
      error.value = null
      shown = ''
      return
    }
    if (!awake || JSON.stringify(asked) === shown) return
    // What runs is out of date now; that it goes on would only delay the next.
    abort?.abort()
    const first = shown === ''
    shown = ''
    if (first) void start()
    else timer = setTimeout(() => void start(), pause)
  }

  watch(request, follow, { immediate: true })
  watch([() => engine.ready, () => engine.connection], () => {
    if (engine.ready && awake && (error.value?.code === 'engine.stopped' || shown === '')) void start()
  })
  onDeactivated(() => (awake = false))
  onActivated(() => {
    awake = true
    follow()
  })
  onScopeDispose(() => {
    clearTimeout(timer)
    abort?.abort()
  })

  return { steps, outcome, running, stopped, error, start, stop }
}
