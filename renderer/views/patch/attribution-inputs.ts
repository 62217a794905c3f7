/** Attribution patching of each pair, as an estimate and for the choice of neurons: the calls' inputs. */
import type { CallInput } from '../../../preload/api'
import type { AttributionMetric, PatchSite } from '../../../preload/attribution'
import type { MetricKind } from '../metric/metric-words'
import type { ListedPair } from './pair-list'
import type { ReadyPair } from './ready-pairs'

/** Metrics that are differentiated. */
export const isAttributed = (kind: MetricKind): boolean =>
  kind === 'logit' || kind === 'logit-difference' || kind === 'log-probability'

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

interface Attributed {
  model: string
  pairs: readonly ReadyPair[]
  kind: MetricKind
  position: 'last' | number
  direction: 'denoising' | 'noising'
  sites: PatchSite[]
  /** How many neurons to list, where they are among the sites. */
  neurons?: number
}

/** One for each pair; null where there are none, or a token is missing. */
export function attributionInputs({
  model,
  pairs,
  kind,
  position,
  ...rest
}: Attributed): CallInput<'attribution.patching'>[] | null {
  const inputs = pairs.flatMap(({ listed, input }) => {
    const metric = attributed(kind, listed, position)
    return metric === null ? [] : [{ model, clean: input.clean, corrupt: input.corrupt, metric, ...rest }]
  })
  return inputs.length === 0 || inputs.length < pairs.length ? null : inputs
}
