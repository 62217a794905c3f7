/** What the steer view asks the engine for: the chosen preset, its strength, the sampling, the prompt. */
import { computed, reactive, ref, type ComputedRef, type Ref, type WritableComputedRef } from 'vue'
import type { PresetEntry } from '../../../preload/api'
import { sampling as samplingSchema, type Sampling } from '../../../preload/run'
import type { PromptSpec } from '../../../preload/prompt'
import { useModels } from '../../stores/models'
import { specOf, usePrompt } from '../../stores/prompt'
import { misfit, promptFor, promptMismatch } from './preset-words'
import type { SteerRequest } from './steering-run'

export interface SteerControls {
  sampling: Ref<Sampling>
  maxTokens: Ref<number>
  /** Where the prompt comes from. */
  source: WritableComputedRef<'example' | 'bar'>
  strength: WritableComputedRef<number>
  resetStrength: () => void
  prompt: ComputedRef<PromptSpec | null>
  /** The prompt is made otherwise than the preset was. */
  warning: ComputedRef<string | null>
  request: ComputedRef<SteerRequest | null>
}

export function useSteerControls(chosen: ComputedRef<PresetEntry | null>): SteerControls {
  const models = useModels()
  const prompts = usePrompt()
  const sampling = ref<Sampling>(samplingSchema.parse({}))
  const maxTokens = ref(48)
  const wanted = ref<'example' | 'bar'>('example')
  /** Strengths by preset, kept while one looks at another. */
  const strengths = reactive<Record<string, number>>({})

  const source = computed({
    get: () => (chosen.value?.preset.example === null ? 'bar' : wanted.value),
    set: (value) => (wanted.value = value),
  })
  const strength = computed({
    get: () => {
      const preset = chosen.value?.preset
      if (preset === undefined) return 0
      return strengths[preset.id] ?? preset.strength.default
    },
    set: (value) => {
      const preset = chosen.value?.preset
      if (preset === undefined) return
      const { minimum, maximum } = preset.strength
      strengths[preset.id] = Math.min(maximum, Math.max(minimum, value))
    },
  })
  function resetStrength(): void {
    if (chosen.value !== null) delete strengths[chosen.value.preset.id]
  }

  const prompt = computed<PromptSpec | null>(() => {
    const preset = chosen.value?.preset
    if (preset === undefined) return null
    if (source.value === 'example' && preset.example !== null) return promptFor(preset.example, preset)
    // The bar's prompt as it is encoded now; half-typed text starts nothing.
    const slot = prompts.slots.A
    return slot.encoded === null || slot.dirty ? null : specOf(prompts.drafts.A)
  })
  const warning = computed(() =>
    chosen.value === null || prompt.value === null ? null : promptMismatch(prompt.value, chosen.value.preset),
  )
  const request = computed<SteerRequest | null>(() => {
    const model = models.current
    const preset = chosen.value?.preset
    if (model === null || preset === undefined || prompt.value === null || misfit(preset, model) !== null)
      return null
    return {
      model: model.handle,
      prompt: prompt.value,
      preset: preset.id,
      strength: strength.value,
      sampling: sampling.value,
      maxTokens: maxTokens.value,
    }
  })

  return { sampling, maxTokens, source, strength, resetStrength, prompt, warning, request }
}
