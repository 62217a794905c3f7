/** Features of a dictionary as what is patched. */
import { ref, type Ref } from 'vue'
import type { CallInput } from '../../../preload/api'

type FeatureInput = Extract<CallInput<'sweep.run'>['target'], { kind: 'features' }>

export interface FeatureTarget {
  /** Whether features are patched instead of a component. */
  on: Ref<boolean>
  /** A SAELens folder; empty until one is chosen. */
  folder: Ref<string>
  /** So many, those that differ most between the prompts, or are most active. */
  top: Ref<number>
  most: Ref<NonNullable<FeatureInput['most']>>
  /** Null until a folder is chosen. */
  target: () => FeatureInput | null
}

export function useFeatureTarget(): FeatureTarget {
  const on = ref(false)
  const folder = ref('')
  const top = ref(32)
  const most = ref<'different' | 'active'>('different')
  return {
    on,
    folder,
    top,
    most,
    target: () =>
      folder.value === ''
        ? null
        : {
            kind: 'features',
            dictionary: folder.value,
            by: ['position'],
            top: top.value,
            most: most.value,
          },
  }
}
