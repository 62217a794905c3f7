/** One site of a sweep as a run of its own: to look closer at it, to copy it, to repeat it. */
import { hookDims, hookName } from '../../../preload/hooks'
import { runRequest, type InterventionInput, type RunInput } from '../../../preload/run'
import type { SweepRequest } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { offsetsOf, replace, selectedAxes, type PatchSite } from '../../runtime/wave/site'
import { onPair } from './pairs'
import { checked, type PlannedSweep, type PlanOptions } from './planned'
import { invalid } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'

/**
 * @param index of the site, as in the sweep
 * @param which of the pairs
 * @throws PatchbayError `input.invalid` for a site or pair that is none, or one that has nothing to be replaced by
 */
export async function siteRequest(
  model: PatchingModel,
  request: SweepRequest,
  { index, which, ...options }: SiteOptions,
): Promise<RunInput> {
  const count = request.pairs.length
  if (which >= count) throw invalid(`There is no pair ${which}: the sweep has ${count}`, 'pair')
  return requestOfSite(model, await checked(model, request, options).run([], which), index)
}

/** A site of the first pair of a sweep whose prompts were run. @throws PatchbayError as `siteRequest` */
export function requestOfSite(model: PatchingModel, { list, pairs }: PlannedSweep, index: number): RunInput {
  if (index >= list.count) throw invalid(`There is no site ${index}: the sweep has ${list.count}`, 'site')
  const wanted = list.at(index)
  const [pair] = pairs
  const site = onPair(wanted, pair)
  if (site === null)
    throw invalid('The position has no partner in the other prompt', 'site', 'Choose another site.')
  const noise = [...(pair.base.ports ?? [])].flatMap(([hook, ports]) =>
    ports.flatMap((port) => (port.kind === 'affine' ? [{ hook, value: port.value }] : [])),
  )
  return {
    request: runRequest.parse({
      model: model.facts.fingerprint,
      rows: [pair.base.tokens],
      interventions: [
        ...noise.map(({ hook }, i): InterventionInput => ({
          hook,
          operation: { kind: 'add', value: `noise ${i}` },
        })),
        replacement(site),
      ],
    }),
    tensors: {
      ...Object.fromEntries(
        noise.map(({ value }, i) => [`noise ${i}`, { shape: value.shape.slice(1), data: value.data }]),
      ),
      [SOURCE]: selected(site, need(pair.base.activations, wanted.hook), pair.source.get(wanted.hook)),
    },
  }
}

export interface SiteOptions extends PlanOptions {
  readonly index: number
  readonly which: number
}

const SOURCE = 'source'

const replacement = ({ point, positions, heads, units }: PatchSite): InterventionInput => ({
  hook: hookName(point),
  positions: [...positions],
  ...(heads === null ? {} : { heads: [...heads] }),
  ...(units === null ? {} : { units: [...units] }),
  operation: { kind: 'replace', value: SOURCE },
})

/** The part of an activation that a site replaces, with what it puts there. */
function selected(site: PatchSite, base: Tensor, source: Tensor | undefined): Tensor {
  const { shape } = base
  const data = base.data.slice()
  replace(site, source, shape, (at, value) => (data[at] = value))
  const axes = selectedAxes(site, shape)
  const offsets = offsetsOf(axes, shape)
  return {
    shape: hookDims(site.point)
      .slice(1)
      .map((_, axis) => axes[axis].length),
    data: Float32Array.from(offsets, (at) => data[at]),
  }
}
