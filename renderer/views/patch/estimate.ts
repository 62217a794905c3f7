/** The estimate behind a sweep: attribution patching, one forward and one backward pass. */
import { computed, type ComputedRef } from 'vue'
import type { EffectMap, PatchSite } from '../../../preload/attribution'
import type { SweepComponent } from '../../../preload/sweep'
import { useQuery } from '../../queries/query'
import { useQuestion } from '../metric/question'
import { componentKinds, type MapAxes } from './components'
import { usePatchQuestion } from './patch-question'

const sites: Partial<Record<SweepComponent, PatchSite>> = {
  resid_pre: 'resid_pre',
  attn_out: 'attn_out',
  mlp_out: 'mlp_out',
  z: 'z',
}

export interface Estimate {
  /** Effects in the shape of the sweep's map; null where there are none. */
  effect: ComputedRef<EffectMap['effect'] | null>
  /** It is there, or there will be none. */
  settled: ComputedRef<boolean>
}

/** Only what comes from the other prompt can be estimated, of metrics that are differentiated. */
export function useEstimate(component: () => SweepComponent, axes: () => MapAxes): Estimate {
  const { pair, metric } = useQuestion()
  const { direction, source } = usePatchQuestion()
  const asked = computed(() => {
    const site = sites[component()]
    const fits = axes() === (component() === 'z' ? 'head' : 'position')
    if (pair.value === null || metric.value === null || site === undefined) return null
    if (!fits || source.value !== 'prompt') return null
    return { ...pair.value, metric: metric.value, direction: direction.value, sites: [site] }
  })
  const query = useQuery('attribution.patching', () => asked.value, { title: 'Estimate', remember: 8 })
  const effect = computed(() => {
    const field = componentKinds.find(({ value }) => value === component())?.estimate ?? null
    const data = query.data.value
    if (asked.value === null || field === null || data === null || query.stale.value) return null
    return data[field]?.effect ?? null
  })
  return {
    effect,
    settled: computed(() => asked.value === null || effect.value !== null || query.error.value !== null),
  }
}
