/**
 * The exact effect of patching one site after another (activation patching; Meng et al. 2022, Heimersheim and Nanda 2024),
 * for one pair of prompts or the mean of several.
 */
import { runRequest } from '../../../preload/run'
import type { KnownSites, SweepProgress, SweepRequest, SweepResult } from '../../../preload/sweep'
import type { Evidence } from '../../../preload/views'
import { narrowed, type PatchSite } from '../../runtime/wave/site'
import { evidenceOf } from '../evidence'
import { onPair, type RunPair } from './pairs'
import { checked, type PlannedSweep, type PlanOptions } from './planned'
import { Findings, wantedOrder } from './progress'
import type { SiteRunner } from './runner'
import type { SiteList } from './sites'
import type { PatchingModel } from './subject'

export interface SweepOptions extends PlanOptions {
  /** Sites in the order in which they are wanted. */
  readonly order?: readonly number[]
  readonly known?: KnownSites
  readonly onProgress?: (progress: SweepProgress) => void
}

/** Of several pairs, sites are run in groups of so many, so that means come out on the way. */
const GROUP = 256

/**
 * Runs a sweep. What was found when it is cancelled has been given to `onProgress`.
 * @throws PatchbayError `input.invalid` for pairs, sites or metrics that do not fit, `hook.unknown`, `hook.unavailable`,
 *   `run.cancelled`, and what a run throws
 */
export async function sweep(
  model: PatchingModel,
  request: SweepRequest,
  options: SweepOptions = {},
): Promise<SweepResult> {
  const began = performance.now()
  const planned = await checked(model, request, options).run()
  return sweepPlanned(model, request, planned, options, began)
}

/** A sweep whose prompts were run; it began then. */
export async function sweepPlanned(
  model: PatchingModel,
  request: SweepRequest,
  { runner, list, pairs, plan }: PlannedSweep,
  { order, known, signal, onProgress }: SweepOptions,
  began: number,
): Promise<SweepResult> {
  const findings = new Findings(plan, onProgress)
  if (known !== undefined) findings.know(known)
  findings.begin()
  const wanted = wantedOrder(list.count, order, findings)
  const group = pairs.length === 1 ? Math.max(1, wanted.length) : GROUP
  const counts = { computed: 0, unchanged: 0, partnerless: 0 }
  for (let start = 0; start < wanted.length; start += group)
    await runGroup(model, runner, list, pairs, wanted.slice(start, start + group), findings, counts, signal)

  return {
    ...evidences(model, request),
    plan,
    raw: findings.raw(),
    normalised: findings.normalised(),
    computed: counts.computed,
    unchanged: counts.unchanged,
    seconds: (performance.now() - began) / 1000,
    way: runner.way,
    notes: notesOf(plan.ends, counts.partnerless),
  }
}

/** What the values of a sweep rest on. */
export function evidences(
  model: PatchingModel,
  { pairs: [pair], direction, source }: SweepRequest,
): Pick<SweepResult, 'evidence' | 'source' | 'direction'> {
  const [base, other] = direction === 'noising' ? [pair.clean, pair.corrupt] : [pair.corrupt, pair.clean]
  return {
    evidence: promptEvidence(model, base),
    source: source.kind === 'prompt' ? promptEvidence(model, other) : null,
    direction,
  }
}

/** A prompt's run as a request that anybody can repeat. */
export const promptEvidence = (model: PatchingModel, tokens: readonly number[]): Evidence =>
  evidenceOf(model, {
    request: runRequest.parse({ model: model.facts.fingerprint, rows: [tokens] }),
    tensors: {},
  })

export function notesOf(ends: SweepResult['plan']['ends'], partnerless: number): string[] {
  const problems = ends.flatMap(({ problem }) => (problem === null ? [] : [problem]))
  if (partnerless > 0)
    problems.push(`${partnerless} sites have no value: their position has no partner in the other prompt.`)
  return problems
}

interface Counts {
  computed: number
  unchanged: number
  partnerless: number
}

/** Runs some sites for all pairs; what is certain without a run is known first. */
async function runGroup(
  model: PatchingModel,
  runner: SiteRunner,
  list: SiteList,
  pairs: readonly RunPair[],
  sites: readonly number[],
  findings: Findings,
  counts: Counts,
  signal: AbortSignal | undefined,
): Promise<void> {
  const metrics = findings.metrics
  const sums = new Float64Array(sites.length * metrics)
  const add = (place: number, values: readonly number[]): void =>
    values.forEach((value, metric) => (sums[place * metrics + metric] += value))
  const meanOf = (place: number): number[] =>
    Array.from({ length: metrics }, (_, metric) => sums[place * metrics + metric] / pairs.length)

  const jobs = pairs.map((pair) => {
    const places: number[] = []
    const narrow: PatchSite[] = []
    sites.forEach((index, place) => {
      const site = onPair(list.at(index), pair)
      if (site === null) return add(place, Array<number>(metrics).fill(NaN))
      const small = narrowed(site, model.facts.layers, pair.base.activations, pair.source, pair.reads)
      if (small === null) return add(place, pair.unchanged)
      places.push(place)
      narrow.push(small)
    })
    return { pair, places, narrow }
  })
  const waiting = new Int32Array(sites.length)
  for (const { places } of jobs) for (const place of places) waiting[place]++
  const certain = Array.from(sites.keys()).filter((place) => waiting[place] === 0)
  const certainValues = certain.map(meanOf)
  counts.computed += sites.length - certain.length
  counts.partnerless += certainValues.filter((values) => values.every(Number.isNaN)).length
  counts.unchanged += certainValues.filter((values) => !values.every(Number.isNaN)).length
  findings.add(
    certain.map((place) => sites[place]),
    certainValues,
  )
  for (const { pair, places, narrow } of jobs) {
    if (narrow.length === 0) continue
    await runner.sites({
      run: pair.base,
      source: pair.source,
      sites: narrow,
      reads: pair.reads,
      tokens: pair.tokens,
      signal,
      onBatch: (batch, logits) => {
        const done = batch.flatMap((i, row) => {
          const place = places[i]
          add(place, pair.valuesOf(logits[row]))
          return --waiting[place] === 0 ? [place] : []
        })
        findings.add(
          done.map((place) => sites[place]),
          done.map(meanOf),
        )
      },
    })
  }
}
