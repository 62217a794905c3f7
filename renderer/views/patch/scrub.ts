/**
 * A scrubbing check as the view asks for it: the clean prompt is run with every component replaced but a kept set. Beside
 * that set, its complement and the empty set are run, between which its number means something.
 */
import { computed, ref, shallowRef, watch, type ComputedRef, type Ref, type ShallowRef } from 'vue'
import type { CallInput, CallOutput } from '../../../preload/api'
import type { SweepAxis, SweepComponent } from '../../../preload/sweep'
import { useQuery, type Query } from '../../queries/query'
import { useModels } from '../../stores/models'
import {
  componentPlace,
  componentsOf,
  componentText,
  everyComponent,
  type Component,
  type Grain,
} from './kept'
import { usePatchQuestion } from './patch-question'
import type { SweepQuestion } from './sweep'

export type ScrubQuestion = CallInput<'sweep.scrub'>

export interface Scrub {
  grain: Ref<Grain>
  every: ComputedRef<readonly Component[]>
  kept: ShallowRef<readonly Component[]>
  has: (component: Component) => boolean
  toggle: (component: Component) => void
  draws: Ref<number>
  /** Whether runs differ from draw to draw. */
  drawn: ComputedRef<boolean>
  question: ComputedRef<ScrubQuestion | null>
  /** Why there is none, in a sentence. */
  missing: ComputedRef<string | null>
  query: Query<CallOutput<'sweep.scrub'>>
  /** The effect of each component replaced alone, as sweeps: heads (or attention outputs), then MLPs. */
  alone: ComputedRef<readonly [SweepQuestion, SweepQuestion] | null>
}

export function useScrub(): Scrub {
  const models = useModels()
  const { pairs, source, missing: missingPairs } = usePatchQuestion()
  const grain = ref<Grain>('heads')
  const draws = ref(8)
  const kept = shallowRef<readonly Component[]>([])
  const sizes = computed(() => models.current ?? { layers: 0, heads: 0, kvHeads: 0 })
  const every = computed(() => everyComponent(sizes.value, grain.value))
  watch(every, () => (kept.value = []))
  const texts = computed(() => new Set(kept.value.map(componentText)))
  const has = (component: Component): boolean => texts.value.has(componentText(component))

  const drawn = computed(() => source.kind.value === 'resample' || source.kind.value === 'noise')
  const length = computed(() => Math.max(0, ...pairs.value.map(({ clean }) => clean.length)))
  const made = computed(() => source.make('z', sizes.value.layers, pairs.value, length.value))
  const missing = computed(() => {
    if (pairs.value.length === 0) return missingPairs.value ?? 'Choose the tokens of the metric.'
    if (source.kind.value === 'tensor')
      return 'A stored tensor can not stand for every component: choose another source.'
    return made.value.missing
  })
  const common = computed(() => {
    const model = models.handle
    const { input } = made.value
    if (missing.value !== null || input === null || model === null) return null
    return {
      model,
      pairs: pairs.value.map((pair) => pair.input),
      direction: 'noising' as const,
      source: input,
      metrics: [pairs.value[0].metric],
    }
  })
  const question = computed<ScrubQuestion | null>(() => {
    if (common.value === null) return null
    const places = (of: readonly Component[]) => of.map(componentPlace)
    return {
      ...common.value,
      keep: [places(kept.value), places(every.value.filter((one) => !has(one))), []],
      components: componentsOf(grain.value),
      draws: drawn.value ? draws.value : 1,
    }
  })
  const query = useQuery('sweep.scrub', () => question.value, {
    title: 'Scrubbing',
    delay: 250,
    remember: 16,
  })
  const alone = computed((): [SweepQuestion, SweepQuestion] | null => {
    if (common.value === null) return null
    const [component, by]: [SweepComponent, SweepAxis[]] =
      grain.value === 'heads' ? ['z', ['head']] : ['attn_out', []]
    return [
      { ...common.value, target: { kind: 'grid', component, by } },
      { ...common.value, target: { kind: 'grid', component: 'mlp_out', by: [] } },
    ]
  })
  return {
    grain,
    every,
    kept,
    has,
    toggle(component) {
      kept.value = has(component)
        ? kept.value.filter((one) => componentText(one) !== componentText(component))
        : every.value.filter((one) => has(one) || componentText(one) === componentText(component))
    },
    draws,
    drawn,
    question,
    missing,
    query,
    alone,
  }
}
