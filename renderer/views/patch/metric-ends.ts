/** Every metric of the two prompts as they are: asked for with one place, whose value nobody looks at. */
import { computed, type ComputedRef } from 'vue'
import type { CallInput } from '../../../preload/api'
import type { MetricEnds } from '../../../preload/attribution'
import { hookName } from '../../../preload/hooks'
import type { SweepMetricInput } from '../../../preload/sweep'
import { useQuery } from '../../queries/query'
import { useModels } from '../../stores/models'
import { useQuestion } from '../metric/question'
import { metricKinds, metricUnit, type MetricKind } from '../metric/metric-words'
import { sweepMetricOf } from './components'
import type { ListedPair } from './pair-list'
import { usePatchQuestion } from './patch-question'

export interface MetricRow {
  kind: MetricKind
  label: string
  unit: string
  ends: MetricEnds
}

/** The kinds that can be measured with the tokens that are chosen. */
export function useMetricEnds(): ComputedRef<readonly MetricRow[]> {
  const { position, linear, kind } = useQuestion()
  const { pairs, direction } = usePatchQuestion()
  const models = useModels()

  const metricsOf = ({ towards, against, terms }: ListedPair): (SweepMetricInput | null)[] =>
    metricKinds.map(({ value }) =>
      sweepMetricOf(value, towards?.token.id ?? null, against?.token.id ?? null, position.value, {
        of: linear.value.of,
        terms,
      }),
    )
  const asked = computed(() => {
    const model = models.handle
    if (model === null || pairs.value.length === 0) return null
    const all = pairs.value.map(({ listed }) => metricsOf(listed))
    const kinds = metricKinds.filter((_, i) => all.every((metrics) => metrics[i] !== null))
    const of = (metrics: (SweepMetricInput | null)[]): SweepMetricInput[] =>
      metrics.flatMap((metric, i) =>
        metric !== null && kinds.some(({ value }) => value === metricKinds[i].value) ? [metric] : [],
      )
    if (kinds.length === 0) return null
    const input: CallInput<'sweep.run'> = {
      model,
      pairs: pairs.value.map(({ input: pair, listed }) => ({ ...pair, metrics: of(metricsOf(listed)) })),
      direction: direction.value,
      target: {
        kind: 'sites',
        sites: [{ hook: hookName({ layer: 0, site: 'hook_resid_pre' }), positions: [0] }],
      },
      metrics: of(all[0]),
    }
    return { kinds: kinds.map(({ value }) => value), input }
  })
  const query = useQuery('sweep.run', () => asked.value?.input ?? null, {
    title: 'Metrics',
    // The map first.
    delay: 400,
    remember: 16,
  })
  return computed(() => {
    const { data, stale } = query
    const list = asked.value
    if (list === null || data.value === null || stale.value) return []
    const { ends } = data.value.plan
    return list.kinds.flatMap((value, i) => {
      const label = metricKinds.find((one) => one.value === value)?.label ?? value
      return i < ends.length && (value !== 'linear' || kind.value === 'linear')
        ? [{ kind: value, label, unit: metricUnit(value, linear.value.of), ends: ends[i] }]
        : []
    })
  })
}
