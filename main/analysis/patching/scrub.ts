/**
 * Keeps sets of components and replaces all others at once, in the manner of causal scrubbing (Chan et al. 2022): how much of
 * the metric a set carries alone.
 */
import { componentSites, type ScrubRequest, type ScrubResult } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import type { PortsByHook } from '../../runtime/interventions'
import type { AffinePort, PortValue } from '../../runtime/ports'
import { offsetsOf, selectedAxes } from '../../runtime/wave/site'
import { normalised } from '../attribution/pair'
import { checkPairs, meanEnds, runPair, type RunPair } from './pairs'
import { runRows } from './rows'
import { invalid, placesOf, type SweepSite } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'
import { promptEvidence } from './sweep'
import { runnerOf } from './ways'

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
  let replaced = keep.map(() => 0)
  const total = draws * pairs.length * keep.length
  let done = 0
  for (let draw = 0; draw < draws; draw++) {
    const run: RunPair[] = []
    for (const [i, pair] of pairs.entries())
      run.push(await runPair(context, pair, draw * pairs.length + i, hooks))
    ends = meanEnds(run)
    for (const pair of run)
      for (const [i, sites] of keep.entries()) {
        const { ports, count } = replacingAllBut(sites, hooks, pair)
        const run = { start: { kind: 'tokens', rows: [pair.base.tokens] }, ports, signal } as const
        const { logits } = await runRows(model.runnable, run, pair.reads)
        pair
          .valuesOf(logits[0])
          .forEach((value, metric) => (values[i][metric * draws + draw] += value / pairs.length))
        replaced = replaced.with(i, count)
        onProgress?.({ done: ++done, total })
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

/**
 * Ports that put the source's value everywhere but at the kept sites.
 * @returns and how many components they replace at some position: heads, or whole outputs
 */
function replacingAllBut(
  sites: readonly SweepSite[],
  hooks: readonly string[],
  pair: RunPair,
): { ports: PortsByHook; count: number } {
  const ports = new Map<string, PortValue[]>(
    [...(pair.base.ports ?? [])].map(([hook, values]) => [hook, [...values]]),
  )
  const every = pair.base.tokens.map((_, position) => position)
  let count = 0
  for (const hook of hooks) {
    const { shape, data } = need(pair.source, hook)
    const keep = new Float32Array(data.length)
    const width = data.length / every.length
    // Where the other prompt has no partner for a position nothing is replaced.
    every.forEach((position) => {
      if (!pair.partnered[position]) keep.fill(1, position * width, (position + 1) * width)
    })
    for (const site of sites)
      if (site.hook === hook) {
        const axes = selectedAxes({ ...site, positions: site.positions ?? every }, shape)
        for (const at of offsetsOf(axes, shape)) keep[at] = 1
      }
    const value = data.map((x, i) => (keep[i] === 1 ? 0 : x))
    const heads = shape.length === 3 ? shape[1] : 1
    const size = width / heads
    for (let head = 0; head < heads; head++)
      if (
        every.some((position) =>
          keep.subarray(position * width + head * size, position * width + (head + 1) * size).includes(0),
        )
      )
        count++
    const port: AffinePort = {
      kind: 'affine',
      keep: { shape: [1, ...shape], data: keep },
      value: { shape: [1, ...shape], data: value },
    }
    ports.set(hook, [...(ports.get(hook) ?? []), port])
  }
  return { ports, count }
}
