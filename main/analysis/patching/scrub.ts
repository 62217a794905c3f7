/**
 * Keeps sets of components and replaces all others at once, in the manner of causal scrubbing (Chan et al. 2022): how much of
 * the metric a set carries alone.
 */
import { componentSites, type ScrubRequest, type ScrubResult } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { normalised } from '../attribution/pair'
import { keptRuns } from './kept-runs'
import { checkPairs, meanEnds, runPair, type RunPair } from './pairs'
import { invalid, placesOf } from './sites'
import type { PatchingModel } from './subject'
import { promptEvidence } from './sweep'
import { runnerOf } from './ways'

/** Tokens in a run: each row has ports as large as its activations. */
const TOKENS = 1024

export interface ScrubOptions {
  readonly tensors?: Readonly<Record<string, Tensor>>
  readonly signal?: AbortSignal
  /** Runs done of all. */
  readonly onProgress?: (progress: { done: number; total: number }) => void
}

/** @throws PatchbayError `input.invalid` for a kept site that is no component, and as a sweep */
export async function scrub(
  model: PatchingModel,
  request: ScrubRequest,
  { tensors = {}, signal, onProgress }: ScrubOptions = {},
): Promise<ScrubResult> {
  const { pairs, direction, source, metrics, draws, components } = request
  const lengths = checkPairs(model, pairs, metrics, direction).map(({ length }) => length)
  const hooks = Array.from({ length: model.facts.layers }, (_, layer) =>
    components.map((component) => model.runnable.hook(`blocks.${layer}.${componentSites[component]}`).name),
  ).flat()
  const keep = request.keep.map((places, i) => {
    const sites = placesOf(model, places, lengths, `keep.${i}`)
    const stranger = sites.find(({ hook }) => !hooks.includes(hook))
    if (stranger !== undefined)
      throw invalid(`${stranger.hook} is none of the components that are replaced`, `keep.${i}`)
    return sites
  })
  const runner = runnerOf(model)
  const context = { model, runner, direction, source, metrics, tensors, signal }
  const values = keep.map(() => new Float32Array(metrics.length * draws))
  let ends: ScrubResult['ends'] = []
  const replaced = keep.map(() => 0)
  const total = draws * pairs.length * keep.length
  let done = 0
  for (let draw = 0; draw < draws; draw++) {
    const run: RunPair[] = []
    for (const [i, pair] of pairs.entries())
      run.push(await runPair(context, pair, draw * pairs.length + i, hooks))
    ends = meanEnds(run)
    for (const pair of run) {
      const size = Math.max(1, Math.floor(TOKENS / pair.base.tokens.length))
      for (let start = 0; start < keep.length; start += size) {
        const sets = keep.slice(start, start + size)
        const found = await keptRuns({ model, runner, pair, hooks, sets, signal })
        found.forEach(({ metrics: each, replaced: count }, i) => {
          each.forEach((value, metric) => (values[start + i][metric * draws + draw] += value / pairs.length))
          replaced[start + i] = count
        })
        done += sets.length
        onProgress?.({ done, total })
      }
    }
  }
  return {
    evidence: promptEvidence(model, pairs[0][direction === 'noising' ? 'clean' : 'corrupt']),
    direction,
    ends,
    circuits: keep.map((sites, i) => {
      const mean = metrics.map(
        (_, metric) =>
          values[i].subarray(metric * draws, (metric + 1) * draws).reduce((sum, x) => sum + x, 0) / draws,
      )
      return {
        kept: sites.length,
        replaced: replaced[i],
        values: { shape: [metrics.length, draws], data: values[i] },
        mean,
        normalised: mean.map((value, metric) => normalised(ends[metric], value)),
      }
    }),
  }
}
