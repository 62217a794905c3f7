/** One site of a sweep as a run of its own: to look closer at it, to copy it, to repeat it. */
import { hookDims, hookName } from '../../../preload/hooks'
import { runRequest, type InterventionInput, type RunInput } from '../../../preload/run'
import type { SweepRequest } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { offsetsOf, selectedAxes, type PatchSite } from '../../runtime/wave/site'
import { checkPairs, onPair, runPair } from './pairs'
import { invalid, sitesOf } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'
import { runnerOf } from './ways'

/**
 * @param index of the site, as in the sweep
 * @param which of the pairs
 * @throws PatchbayError `input.invalid` for a site or pair that is none, or one that has nothing to be replaced by
 */
export async function siteRequest(
  model: PatchingModel,
  request: SweepRequest,
  { index, which, tensors = {}, signal }: SiteOptions,
): Promise<RunInput> {
  const { pairs, direction, source, metrics, target } = request
  const bases = checkPairs(model, pairs, metrics, direction)
  const list = sitesOf(
    model,
    target,
    bases.map(({ length }) => length),
  )
  if (index >= list.count) throw invalid(`There is no site ${index}: the sweep has ${list.count}`, 'site')
  if (which >= pairs.length) throw invalid(`There is no pair ${which}: the sweep has ${pairs.length}`, 'pair')
  const wanted = list.at(index)
  const context = { model, runner: runnerOf(model), direction, source, metrics, tensors, signal }
  const pair = await runPair(context, pairs[which], which, [wanted.hook])
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
      [SOURCE]: selected(need(pair.source, wanted.hook), site),
    },
  }
}

export interface SiteOptions {
  readonly index: number
  readonly which: number
  readonly tensors?: Readonly<Record<string, Tensor>>
  readonly signal?: AbortSignal
}

const SOURCE = 'source'

const replacement = ({ point, positions, heads, units }: PatchSite): InterventionInput => ({
  hook: hookName(point),
  positions: [...positions],
  ...(heads === null ? {} : { heads: [...heads] }),
  ...(units === null ? {} : { units: [...units] }),
  operation: { kind: 'replace', value: SOURCE },
})

/** The part of an activation that a site replaces. */
function selected({ shape, data }: Tensor, site: PatchSite): Tensor {
  const axes = selectedAxes(site, shape)
  const offsets = offsetsOf(axes, shape)
  return {
    shape: hookDims(site.point)
      .slice(1)
      .map((_, axis) => axes[axis].length),
    data: Float32Array.from(offsets, (at) => data[at]),
  }
}
