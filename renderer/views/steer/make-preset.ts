/** Making a steering vector from contrast pairs: what is filled in, what is still missing, the run and its result. */
import { computed, reactive, ref, shallowRef, type ComputedRef, type Ref, type ShallowRef } from 'vue'
import { residualPoints } from '../../../preload/hooks'
import type { CallOutput } from '../../../preload/api'
import type { PatchbayError } from '../../../preload/errors'
import { asPatchbayError } from '../../../preload/errors'
import type { ModelDescription } from '../../../preload/model'
import type { ContrastPair } from '../../../preload/preset'
import type { BosPolicy } from '../../../preload/prompt'
import { services } from '../../services'
import { useJobs } from '../../stores/jobs'

export type MadePreset = CallOutput<'steer.fromPairs'>

export interface Recipe {
  name: string
  author: string
  note: string
  hook: string
  position: 'last' | 'mean'
  positions: 'all' | 'prompt' | 'generated'
  bos: BosPolicy
  template: 'none' | 'chat'
  pairs: ContrastPair[]
}

export interface PresetMaker {
  recipe: Recipe
  /** Residual-stream points where the vector can be taken and added. */
  hooks: ComputedRef<{ value: string; label: string }[]>
  /** What is still missing, in a sentence; null when it can be made. */
  missing: ComputedRef<string | null>
  running: Readonly<Ref<boolean>>
  fraction: Readonly<Ref<number | null>>
  error: Readonly<ShallowRef<PatchbayError | null>>
  made: Readonly<ShallowRef<MadePreset | null>>
  make: () => Promise<MadePreset | null>
  cancel: () => void
}

const complete = (pair: ContrastPair): boolean => pair.positive.trim() !== '' && pair.negative.trim() !== ''
const emptyPairs = (): ContrastPair[] => Array.from({ length: 3 }, () => ({ positive: '', negative: '' }))

/** The stream behind block i is named by the block: `blocks.{i}.hook_resid_post`. */
const behind = (layer: number): string => `blocks.${layer}.hook_resid_post`

const within = (layer: number): string => `blocks.${layer}.hook_resid_mid`

export function usePresetMaker(model: () => ModelDescription): PresetMaker {
  const jobs = useJobs()
  const recipe = reactive<Recipe>({
    name: '',
    author: '',
    note: '',
    hook: behind(Math.floor((model().layers - 1) / 2)),
    position: 'last',
    positions: 'all',
    bos: 'model',
    template: 'none',
    pairs: emptyPairs(),
  })
  const running = ref(false)
  const fraction = ref<number | null>(null)
  const error = shallowRef<PatchbayError | null>(null)
  const made = shallowRef<MadePreset | null>(null)
  let abort: AbortController | null = null

  const hooks = computed(() => [
    { value: residualPoints(model().layers)[0], label: 'Embedding (before block 0)' },
    ...Array.from({ length: model().layers }, (_, i) => [
      // Not where attention and MLP run in parallel.
      ...(model().hookPoints.some(({ name }) => name === within(i))
        ? [{ value: within(i), label: `In block ${i}, between attention and MLP` }]
        : []),
      { value: behind(i), label: `Behind block ${i}` },
    ]).flat(),
  ])
  const missing = computed(() => {
    if (!recipe.pairs.some(complete)) return 'Write at least one pair with both sides.'
    const half = recipe.pairs.findIndex(
      (pair) => !complete(pair) && (pair.positive.trim() !== '' || pair.negative.trim() !== ''),
    )
    if (half >= 0) return `Pair ${half + 1} has only one side.`
    if (recipe.name.trim() === '') return 'Give it a name.'
    return null
  })

  async function make(): Promise<MadePreset | null> {
    if (missing.value !== null || running.value) return null
    const mine = (abort = new AbortController())
    running.value = true
    fraction.value = null
    error.value = null
    made.value = null
    const job = jobs.start('Steering vector', () => mine.abort())
    try {
      const { hook } = recipe
      const known = hooks.value.some((option) => option.value === hook)
        ? hook
        : hooks.value[hooks.value.length - 1].value
      const result = await services().engine.call(
        'steer.fromPairs',
        {
          ...recipe,
          hook: known,
          name: recipe.name.trim(),
          pairs: recipe.pairs.filter(complete),
          model: model().handle,
        },
        {
          signal: mine.signal,
          onProgress: ({ done, total }) => {
            fraction.value = total > 0 ? done / total : null
            if (fraction.value !== null) job.progress(fraction.value)
          },
        },
      )
      made.value = result
      return result
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      if (problem.code !== 'run.cancelled') error.value = problem
      return null
    } finally {
      job.end()
      running.value = false
      if (abort === mine) abort = null
    }
  }

  return { recipe, hooks, missing, running, fraction, error, made, make, cancel: () => abort?.abort() }
}
