/**
 * One sweep as a view sees it: its map filling while it is computed, stopped with what is there, gone on with later, begun
 * anew when the question changes.
 */
import { computed, onScopeDispose, ref, shallowRef, triggerRef, watch } from 'vue'
import type { ComputedRef, Ref, ShallowRef } from 'vue'
import type { CallInput, CallOutput, CallProgress } from '../../../preload/api'
import { asPatchbayError, type PatchbayError } from '../../../preload/errors'
import type { SweepPlan } from '../../../preload/sweep'
import { services } from '../../services'
import { useEngine } from '../../stores/engine'
import { useJobs } from '../../stores/jobs'

type PlacesQuestion = Omit<CallInput<'sweep.run'>, 'order' | 'known'>
export type PathsQuestion = Omit<CallInput<'sweep.paths'>, 'order' | 'known'>
/** A sweep over places, or over senders that receivers hear. */
export type SweepQuestion = PlacesQuestion | PathsQuestion

export const isPaths = (question: SweepQuestion): question is PathsQuestion => 'receivers' in question

/** Tells sweeps apart. Tensors by their names: another tensor has another one (see tensor-source.ts). */
export const sweepKey = (question: SweepQuestion): string =>
  JSON.stringify({ ...question, tensors: undefined })

export interface Sweep {
  plan: Readonly<ShallowRef<SweepPlan | null>>
  /** Metric at each site, row-major in the plan's shape; NaN where it is not there yet, or can not be. */
  raw: Readonly<ShallowRef<Float32Array>>
  done: Readonly<Ref<number>>
  total: Readonly<Ref<number>>
  running: Readonly<Ref<boolean>>
  /** Seconds that the rest will take; null while unknown. */
  remaining: Readonly<Ref<number | null>>
  result: Readonly<ShallowRef<CallOutput<'sweep.run'> | null>>
  error: Readonly<ShallowRef<PatchbayError | null>>
  /** Stopped, with sites missing. */
  unfinished: ComputedRef<boolean>
  stop: () => void
  /** Goes on where it stopped; sites that are there are not computed again. */
  resume: () => Promise<void>
}

export interface SweepOptions {
  title: string
  /** The order in which sites are wanted: largest estimate first. */
  order?: () => number[] | undefined
}

/** @param question reactive getter; null where there is nothing to ask */
export function useSweep(question: () => SweepQuestion | null, { title, order }: SweepOptions): Sweep {
  const engine = useEngine()
  const jobs = useJobs()
  const plan = shallowRef<SweepPlan | null>(null)
  const raw = shallowRef(new Float32Array())
  const found = new Set<number>()
  const done = ref(0)
  const total = ref(0)
  const running = ref(false)
  const remaining = ref<number | null>(null)
  const result = shallowRef<CallOutput<'sweep.run'> | null>(null)
  const error = shallowRef<PatchbayError | null>(null)
  let abort: AbortController | null = null

  function clear(): void {
    found.clear()
    plan.value = null
    raw.value = new Float32Array()
    done.value = total.value = 0
    result.value = null
    error.value = null
    remaining.value = null
  }

  function take(progress: CallProgress<'sweep.run'>, since: number, before: number): void {
    done.value = progress.done
    total.value = progress.total
    if (progress.kind === 'plan') {
      plan.value = progress.plan
      const size = progress.plan.shape.reduce((product, dim) => product * dim, 1)
      if (raw.value.length !== size) raw.value = new Float32Array(size).fill(NaN)
      return
    }
    const [, metrics] = progress.raw.shape
    progress.sites.forEach((site, i) => {
      found.add(site)
      raw.value[site] = progress.raw.data[i * metrics]
    })
    triggerRef(raw)
    const fresh = progress.done - before
    remaining.value =
      fresh > 0 ? (((performance.now() - since) / 1000) * (progress.total - progress.done)) / fresh : null
  }

  async function run(): Promise<void> {
    abort?.abort()
    const asked = question()
    if (asked === null) return
    const mine = (abort = new AbortController())
    running.value = true
    error.value = null
    const job = jobs.start(title, () => mine.abort())
    const since = performance.now()
    const before = found.size
    const sites = Int32Array.from(found)
    try {
      const known = {
        sites,
        raw: { shape: [before, 1], data: Float32Array.from(sites, (site) => raw.value[site]) },
      }
      const already = { order: order?.(), ...(before === 0 ? {} : { known }) }
      const options = {
        signal: mine.signal,
        onProgress: (progress: CallProgress<'sweep.run'>) => {
          if (abort !== mine) return
          take(progress, since, before)
          job.progress(progress.total === 0 ? 1 : progress.done / progress.total)
        },
      }
      const { engine } = services()
      const output = isPaths(asked)
        ? await engine.call('sweep.paths', { ...asked, ...already }, options)
        : await engine.call('sweep.run', { ...asked, ...already }, options)
      if (abort !== mine) return
      plan.value = output.plan
      raw.value = output.raw.data.slice(0, output.raw.data.length / output.raw.shape[0])
      result.value = output
      done.value = total.value
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      // A stopped sweep keeps what it has; a stopped engine is waited for.
      if (abort === mine && problem.code !== 'run.cancelled' && problem.code !== 'engine.stopped')
        error.value = problem
    } finally {
      job.end()
      if (abort === mine) {
        running.value = false
        remaining.value = null
        abort = null
      }
    }
  }

  const key = computed(() => {
    const asked = question()
    return asked === null ? null : sweepKey(asked)
  })
  let timer: ReturnType<typeof setTimeout> | undefined
  watch(
    [key, () => engine.ready],
    ([next], [previous]) => {
      if (next !== previous) {
        abort?.abort()
        abort = null
        running.value = false
        clear()
      }
      clearTimeout(timer)
      if (next !== null && engine.ready && result.value === null) timer = setTimeout(() => void run(), 0)
    },
    { immediate: true, flush: 'post' },
  )
  onScopeDispose(() => {
    clearTimeout(timer)
    abort?.abort()
  })

  return {
    plan,
    raw,
    done,
    total,
    running,
    remaining,
    result,
    error,
    unfinished: computed(() => !running.value && result.value === null && total.value > 0),
    stop: () => abort?.abort(),
    resume: run,
  }
}
