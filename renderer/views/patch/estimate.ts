/** The estimate behind a sweep: attribution patching, one forward and one backward pass of each pair, averaged. */
import { computed, type ComputedRef } from 'vue'
import type { EffectMap, PatchSite } from '../../../preload/attribution'
import type { SweepComponent } from '../../../preload/sweep'
import { useQueries } from '../../queries/queries'
import { useModels } from '../../stores/models'
import { useQuestion } from '../metric/question'
import { attributionInputs, isAttributed } from './attribution-inputs'
import { componentKinds, type MapAxes } from './components'
import { usePatchQuestion } from './patch-question'
import { sameLength } from './ready-pairs'

const sites: Partial<Record<SweepComponent, PatchSite>> = {
  resid_pre: 'resid_pre',
  attn_out: 'attn_out',
  mlp_out: 'mlp_out',
  z: 'z',
}

export interface Estimate {
  /** Effects in the shape of the sweep's map, means over pairs; null where there are none. */
  effect: ComputedRef<EffectMap['effect'] | null>
  /** It is there, or there will be none. */
  settled: ComputedRef<boolean>
  /** Why there is none, in words; null where there is one, or will be. */
  without: ComputedRef<string | null>
}

/** Elementwise; null where the shapes differ. */
export function meanEffect(maps: readonly EffectMap['effect'][]): EffectMap['effect'] | null {
  const [first] = maps
  if (maps.length === 0 || maps.some(({ data }) => data.length !== first.data.length)) return null
  const data = first.data.map((_, i) => maps.reduce((sum, map) => sum + map.data[i], 0) / maps.length)
  return { shape: first.shape, data }
}

/**
 * Only what comes from the other prompt can be estimated, of metrics that are differentiated.
 * @param special whether features or neurons are patched instead of the component
 */
export function useEstimate(
  component: () => SweepComponent,
  axes: () => MapAxes,
  special: () => boolean,
): Estimate {
  const { kind, position } = useQuestion()
  const models = useModels()
  const { mode, direction, source, noise, pairs } = usePatchQuestion()
  const without = computed(() => {
    if (mode.value !== 'places') return 'No estimate: it would be of all paths.'
    if (special()) return 'No estimate of features or single neurons.'
    if (source.kind.value !== 'prompt')
      return 'No estimate: only what the other prompt brings can be estimated.'
    if (noise.on.value) return 'No estimate: it knows no noise on embeddings.'
    if (!isAttributed(kind.value)) return 'No estimate: this metric is not differentiated.'
    if (sites[component()] === undefined) return 'No estimate of this component.'
    if (axes() !== (component() === 'z' ? 'head' : 'position')) return 'No estimate over these axes.'
    if (component() !== 'z' && !sameLength(pairs.value, direction.value))
      return 'No estimate: the pairs differ in length.'
    return null
  })
  const asked = computed(() => {
    const site = sites[component()]
    const model = models.handle
    if (without.value !== null || site === undefined || model === null) return null
    return attributionInputs({
      model,
      pairs: pairs.value,
      kind: kind.value,
      position: position.value,
      direction: direction.value,
      sites: [site],
    })
  })
  const queries = useQueries('attribution.patching', () => asked.value, { title: 'Estimate', remember: 300 })
  const effect = computed(() => {
    const field = componentKinds.find(({ value }) => value === component())?.estimate ?? null
    const answers = queries.data.value
    if (asked.value === null || field === null || answers === null) return null
    // Answers to an earlier question, until the watcher has seen the new one.
    if (JSON.stringify(answers.map(({ input }) => input)) !== JSON.stringify(asked.value)) return null
    return meanEffect(answers.flatMap(({ output }) => output[field]?.effect ?? []))
  })
  return {
    effect,
    settled: computed(() => asked.value === null || effect.value !== null || queries.error.value !== null),
    without,
  }
}
