/** The estimate behind a sweep: attribution patching, one forward and one backward pass of each pair, averaged. */
import { computed, type ComputedRef } from 'vue'
import type { EffectMap, AttributionMetric, PatchSite } from '../../../preload/attribution'
import type { SweepComponent } from '../../../preload/sweep'
import { useQueries } from '../../queries/queries'
import { useModels } from '../../stores/models'
import { useQuestion } from '../metric/question'
import type { MetricKind } from '../metric/metric-words'
import { componentKinds, type MapAxes } from './components'
import type { ListedPair } from './pair-list'
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

/** A pair's metric as it is differentiated; null where it is not. */
function attributed(
  kind: MetricKind,
  { towards, against }: Pick<ListedPair, 'towards' | 'against'>,
  position: 'last' | number,
): AttributionMetric | null {
  if (towards === null) return null
  const { id } = towards.token
  switch (kind) {
    case 'logit':
    case 'log-probability':
      return { kind, token: id, position }
    case 'logit-difference':
      return against === null ? null : { kind, positive: id, negative: against.token.id, position }
    default:
      return null
  }
}

/** Elementwise; null where the shapes differ. */
export function meanEffect(maps: readonly EffectMap['effect'][]): EffectMap['effect'] | null {
  const [first] = maps
  if (maps.length === 0 || maps.some(({ data }) => data.length !== first.data.length)) return null
  const data = first.data.map((_, i) => maps.reduce((sum, map) => sum + map.data[i], 0) / maps.length)
  return { shape: first.shape, data }
}

/** Only what comes from the other prompt can be estimated, of metrics that are differentiated. */
export function useEstimate(component: () => SweepComponent, axes: () => MapAxes): Estimate {
  const { kind, position } = useQuestion()
  const models = useModels()
  const { mode, direction, source, features, noise, pairs } = usePatchQuestion()
  const without = computed(() => {
    if (mode.value !== 'places') return 'No estimate: it would be of all paths.'
    if (features.on.value) return 'No estimate of features.'
    if (source.kind.value !== 'prompt')
      return 'No estimate: only what the other prompt brings can be estimated.'
    if (noise.on.value) return 'No estimate: it knows no noise on embeddings.'
    if (!['logit', 'logit-difference', 'log-probability'].includes(kind.value))
      return 'No estimate: this metric is not differentiated.'
    if (sites[component()] === undefined) return 'No estimate of this component.'
    if (axes() !== (component() === 'z' ? 'head' : 'position')) return 'No estimate over these axes.'
    if (component() !== 'z' && !sameLength(pairs.value, direction.value))
      return 'No estimate: the pairs differ in length.'
    return null
  })
  const asked = computed(() => {
    const site = sites[component()]
    const model = models.handle
    if (without.value !== null || site === undefined || model === null || pairs.value.length === 0)
      return null
    const inputs = pairs.value.flatMap(({ listed, input }) => {
      const metric = attributed(kind.value, listed, position.value)
      return metric === null
        ? []
        : [
            {
              model,
              clean: input.clean,
              corrupt: input.corrupt,
              metric,
              direction: direction.value,
              sites: [site],
            },
          ]
    })
    return inputs.length === pairs.value.length ? inputs : null
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
