/** One site of a sweep, or one sender of path patching, as a run of its own: to look closer at it, to copy it, to repeat it. */
import { hookDims, hookName } from '../../../preload/hooks'
import { runRequest, type InterventionInput } from '../../../preload/run'
import type { PathRequest, SiteRun, SweepRequest } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { offsetsOf, replace, selectedAxes, type PatchSite } from '../../runtime/wave/site'
import { onPair, type RunPair } from './pairs'
import { planPaths } from './path-plan'
import { firstRun } from './path-runs'
import { checked, type PlannedSweep, type PlanOptions } from './planned'
import { invalid } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'

export interface SiteOptions extends PlanOptions {
  /** Of the site, as in the sweep. */
  readonly index: number
  /** Of the pairs. */
  readonly which: number
}

/**
 * @throws PatchbayError `input.invalid` for a site or pair that is none, or one that has nothing to be replaced by
 */
export async function siteRequest(
  model: PatchingModel,
  request: SweepRequest,
  { index, which, ...options }: SiteOptions,
): Promise<SiteRun> {
  checkPair(request, which)
  return requestOfSite(model, await checked(model, request, options).run([], which), index)
}

/**
 * The second run of path patching for one sender: the base, with what the receivers computed in the first one put there.
 * @throws PatchbayError as `siteRequest`
 */
export async function senderRequest(
  model: PatchingModel,
  request: PathRequest,
  { index, which, ...options }: SiteOptions,
): Promise<SiteRun> {
  checkPair(request, which)
  const planned = await planPaths(model, request, options, which)
  const { context, pairs } = planned
  const [pair] = pairs
  const captures = await firstRun(context, pair, [siteAt(planned, index)])
  const every = pair.base.tokens.map((_, position) => position)
  return runOf(
    model,
    pair,
    context.receivers.map((receiver, i) => {
      const { shape, data } = need(captures, receiver.hook)
      const site = { ...receiver, positions: receiver.positions ?? every }
      return { name: `receiver ${i}`, site, value: selected(site, { shape: shape.slice(1), data }) }
    }),
  )
}

function checkPair({ pairs }: SweepRequest, which: number): void {
  if (which >= pairs.length) throw invalid(`There is no pair ${which}: the sweep has ${pairs.length}`, 'pair')
}

/** A site of the first pair of a sweep whose prompts were run. @throws PatchbayError as `siteRequest` */
export function requestOfSite(model: PatchingModel, planned: PlannedSweep, index: number): SiteRun {
  const site = siteAt(planned, index)
  const [pair] = planned.pairs
  const { hook } = planned.list.at(index)
  const { shape, data } = need(pair.base.activations, hook)
  const patched = data.slice()
  replace(site, pair.source.get(hook), shape, (at, value) => (patched[at] = value))
  return runOf(model, pair, [{ name: 'source', site, value: selected(site, { shape, data: patched }) }])
}

function siteAt({ list, pairs }: PlannedSweep, index: number): PatchSite {
  if (index >= list.count) throw invalid(`There is no site ${index}: the sweep has ${list.count}`, 'site')
  const site = onPair(list.at(index), pairs[0])
  if (site !== null) return site
  throw invalid('The position has no partner in the other prompt', 'site', 'Choose another site.')
}

/** A part of an activation with what it holds. */
interface Replacement {
  readonly name: string
  readonly site: PatchSite
  readonly value: Tensor
}

/** The base (with its noise, where it has some) with parts replaced. */
function runOf(model: PatchingModel, { base }: RunPair, replacements: readonly Replacement[]): SiteRun {
  const noise = [...(base.ports ?? [])].flatMap(([hook, ports]) =>
    ports.flatMap((port) => (port.kind === 'affine' ? [{ hook, value: port.value }] : [])),
  )
  const added = noise.map(({ hook }, i): InterventionInput => ({
    hook,
    operation: { kind: 'add', value: `noise ${i}` },
  }))
  return {
    request: runRequest.parse({
      model: model.facts.fingerprint,
      rows: [base.tokens],
      interventions: [...added, ...replacements.map(replacement)],
    }),
    tensors: {
      ...Object.fromEntries(
        noise.map(({ value }, i) => [`noise ${i}`, { shape: value.shape.slice(1), data: value.data }]),
      ),
      ...Object.fromEntries(replacements.map(({ name, value }) => [name, value])),
    },
    base: added.length,
  }
}

const replacement = ({ name, site }: Replacement): InterventionInput => ({
  hook: hookName(site.point),
  positions: [...site.positions],
  ...(site.heads === null ? {} : { heads: [...site.heads] }),
  ...(site.units === null ? {} : { units: [...site.units] }),
  operation: { kind: 'replace', value: name },
})

/** The part of an activation (without its batch axis) that a site selects. */
function selected(site: PatchSite, { shape, data }: Tensor): Tensor {
  const axes = selectedAxes(site, shape)
  return {
    shape: hookDims(site.point)
      .slice(1)
      .map((_, axis) => axes[axis].length),
    data: Float32Array.from(offsetsOf(axes, shape), (at) => data[at]),
  }
}
