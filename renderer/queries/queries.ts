/**
 * Several calls of one name, asked one after another: for what is wanted of each pair of prompts. Answers are there
 * together; what was asked before is not asked again.
 */
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import type { ComputedRef, Ref, ShallowRef } from 'vue'
import type { CallInput, CallName, CallOutput } from '../../preload/api'
import { asPatchbayError, type PatchbayError } from '../../preload/errors'
import { services } from '../services'
import { useEngine } from '../stores/engine'
import { useJobs } from '../stores/jobs'
import type { QueryOptions } from './query'
import { Recent } from './recent'

export interface Answered<N extends CallName> {
  input: CallInput<N>
  output: CallOutput<N>
}

export interface Queries<N extends CallName> {
  /** In the order of the inputs; null until all of them are answered, and where nothing is asked. */
  data: Readonly<ShallowRef<readonly Answered<N>[] | null>>
  pending: ComputedRef<boolean>
  /** Share answered. */
  fraction: Readonly<Ref<number | null>>
  error: Readonly<ShallowRef<PatchbayError | null>>
}

/** @param inputs reactive getter; null where there is nothing to ask */
export function useQueries<N extends CallName>(
  name: N,
  inputs: () => readonly CallInput<N>[] | null,
  { title, remember = 64 }: Pick<QueryOptions, 'title' | 'remember'>,
): Queries<N> {
  const engine = useEngine()
  const jobs = useJobs()
  const recent = new Recent<CallOutput<N>>(remember)
  const data: ShallowRef<readonly Answered<N>[] | null> = shallowRef(null)
  const error = shallowRef<PatchbayError | null>(null)
  const fraction = ref<number | null>(null)
  const asking = ref(false)
  const key = computed(() => {
    const list = inputs()
    return list === null ? null : JSON.stringify(list)
  })
  let abort: AbortController | null = null

  async function ask(list: readonly CallInput<N>[]): Promise<void> {
    const mine = (abort = new AbortController())
    asking.value = true
    const job = jobs.start(title, () => mine.abort())
    try {
      const answers: Answered<N>[] = []
      for (const input of list) {
        const text = JSON.stringify(input)
        const output =
          recent.get(text) ?? (await services().engine.call(name, input, { signal: mine.signal }))
        if (abort !== mine) return
        recent.put(text, output)
        answers.push({ input, output })
        fraction.value = answers.length / list.length
        job.progress(fraction.value)
      }
      data.value = answers
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      // A stopped engine is asked again when it is back.
      if (abort === mine && problem.code !== 'engine.stopped') error.value = problem
    } finally {
      job.end()
      if (abort === mine) {
        abort = null
        asking.value = false
      }
    }
  }

  watch(
    [key, () => engine.ready],
    ([next, ready], [previous]) => {
      if (next !== previous) {
        abort?.abort()
        abort = null
        asking.value = false
        data.value = null
        error.value = null
        fraction.value = null
      }
      const list = inputs()
      if (list !== null && ready && data.value === null && error.value === null && abort === null)
        void ask(list)
    },
    { immediate: true, flush: 'post' },
  )
  onScopeDispose(() => abort?.abort())

  return {
    data,
    pending: computed(() => key.value !== null && data.value === null && error.value === null),
    fraction,
    error,
  }
}
