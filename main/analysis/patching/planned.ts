/** From a request to sites on prompts that were run: the beginning of every sweep. */
import { PatchbayError } from '../../../preload/errors'
import type { SweepPlan, SweepRequest } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { featureSites, featuresOn, placed, type FeatureDictionary, type PairFeatures } from './features'
import { checkPairs, meanEnds, runPair, type RunPair } from './pairs'
import type { SiteRunner } from './runner'
import { sitesOf, type SiteList } from './sites'
import type { PatchingModel } from './subject'
import { runnerOf } from './ways'

export interface PlanOptions {
  readonly tensors?: Readonly<Record<string, Tensor>>
  /** What the target's features belong to. */
  readonly dictionary?: FeatureDictionary | null
  readonly signal?: AbortSignal
}

export interface PlannedSweep {
  readonly runner: SiteRunner
  readonly list: SiteList
  readonly pairs: readonly RunPair[]
  readonly plan: SweepPlan
}

/** A request that was checked. */
export interface CheckedSweep {
  /** Of the base of each pair. */
  readonly lengths: readonly number[]
  /** That are patched. */
  readonly hooks: readonly string[]
  /** Runs the pairs, or one of them, capturing these hook points besides. */
  readonly run: (also?: readonly string[], which?: number) => Promise<PlannedSweep>
}

/** @throws PatchbayError as `sweep`, before anything is run where that can be */
export function checked(
  model: PatchingModel,
  request: SweepRequest,
  { tensors = {}, dictionary = null, signal }: PlanOptions,
): CheckedSweep {
  const { pairs, direction, source, metrics, target } = request
  const lengths = checkPairs(model, pairs, metrics, direction).map(({ length }) => length)
  const runner = runnerOf(model)
  const runPairs = async (hooks: readonly string[], which: number | undefined): Promise<RunPair[]> => {
    const context = { model, runner, direction, source, metrics, tensors, signal }
    const run: RunPair[] = []
    for (const [i, pair] of pairs.entries())
      if (which === undefined || i === which) run.push(await runPair(context, pair, i, [...new Set(hooks)]))
    return run
  }
  const planned = (run: readonly RunPair[], list: SiteList, more: Partial<SweepPlan> = {}): PlannedSweep => {
    const plan = { axes: list.axes, shape: list.shape, ends: meanEnds(run), hooks: list.hooks, ...more }
    return { runner, list, pairs: run, plan }
  }
  if (target.kind !== 'features') {
    const list = sitesOf(model, target, lengths)
    const run: CheckedSweep['run'] = async (also = [], which) =>
      planned(await runPairs([...list.hooks, ...also], which), list)
    return { lengths, hooks: list.hooks, run }
  }
  if (dictionary === null) throw new PatchbayError('internal', 'The sweep was given no dictionary.')
  const place = placed(model, dictionary, target, source)
  return {
    lengths,
    hooks: [place.writes],
    // Which features there are follows from all pairs, whichever is asked for.
    run: async (also = [], which) => {
      const run = await runPairs([place.reads, place.writes, ...also], undefined)
      const features: PairFeatures[] = []
      for (const pair of run) features.push(await featuresOn(pair, place, source))
      const { list, activations } = featureSites(target, place, features, lengths)
      const withFeatures = run.map((pair, i) => ({ ...pair, features: features[i] }))
      const wanted = which === undefined ? withFeatures : [withFeatures[which]]
      return planned(wanted, list, { activations })
    },
  }
}
