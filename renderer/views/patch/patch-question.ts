/** What the patch view sweeps: component, grid, direction, source and metric, shared by the parts of the view. */
import { computed, inject, provide, ref } from 'vue'
import type { ComputedRef, InjectionKey, Ref } from 'vue'
import type { SweepComponent, SweepSource } from '../../../preload/sweep'
import type { CallInput } from '../../../preload/api'
import { useQuestion } from '../metric/question'
import { sweepMetricOf, targetOf, type MapAxes } from './components'
import type { SweepQuestion } from './sweep'
import { useSelection } from '../../stores/selection'

export type SourceKind = Extract<SweepSource['kind'], 'prompt' | 'zero' | 'noise'>

export interface PatchQuestion {
  component: Ref<SweepComponent>
  axes: Ref<MapAxes>
  direction: Ref<'denoising' | 'noising'>
  source: Ref<SourceKind>
  /** Standard deviation of the noise, in the activation's units. */
  std: Ref<number>
  /** The sweep of a component over these axes; null while something is missing. */
  sweepOf: (component: SweepComponent, axes: MapAxes) => SweepQuestion | null
  current: ComputedRef<SweepQuestion | null>
  /** Two prompts of different length are patched where their tokens are paired. */
  aligned: ComputedRef<boolean>
}

const key: InjectionKey<PatchQuestion> = Symbol('patch question')

/** Below the question about metric and prompts (see ../metric/question). */
export function providePatchQuestion(): PatchQuestion {
  const { kind, towards, against, position, pair } = useQuestion()
  const selection = useSelection()
  const component = ref<SweepComponent>('resid_pre')
  const axes = ref<MapAxes>('position')
  const direction = ref<'denoising' | 'noising'>('denoising')
  const source = ref<SourceKind>('prompt')
  const std = ref(1)

  const aligned = computed(() => pair.value !== null && pair.value.clean.length !== pair.value.corrupt.length)
  const sourceOf = (): NonNullable<CallInput<'sweep.run'>['source']> =>
    source.value === 'noise' ? { kind: 'noise', std: std.value, seed: 0 } : { kind: source.value }

  function sweepOf(of: SweepComponent, over: MapAxes): SweepQuestion | null {
    const metric = sweepMetricOf(
      kind.value,
      towards.value?.id ?? null,
      against.value?.id ?? null,
      position.value,
    )
    if (pair.value === null || metric === null) return null
    const { model, clean, corrupt } = pair.value
    return {
      model,
      pairs: [{ clean, corrupt, ...(aligned.value ? { alignment: 'auto' as const } : {}) }],
      direction: direction.value,
      source: sourceOf(),
      target: targetOf(of, over, selection.current.layer),
      metrics: [metric],
    }
  }

  const question: PatchQuestion = {
    component,
    axes,
    direction,
    source,
    std,
    sweepOf,
    current: computed(() => sweepOf(component.value, axes.value)),
    aligned,
  }
  provide(key, question)
  return question
}

/** @throws Error outside of the patch view; a defect */
export function usePatchQuestion(): PatchQuestion {
  const question = inject(key, null)
  if (question === null) throw new Error('usePatchQuestion() outside of the patch view')
  return question
}
