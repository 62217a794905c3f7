/** A clean and a corrupt prompt: which one is run, which positions belong together, and where their metrics lie. */
import type { AttributionMetric, EffectMap, MetricEnds, PatchDirection } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { runRequest } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import type { AlignedPair } from '../../../preload/views'
import { align } from '../../../preload/align'
import type { AnalysisModel, RunOptions } from '../subject'
import { logitsFor, metricOf, placed, type PlacedMetric } from './metric'

export interface PairRequest {
  clean: readonly number[]
  corrupt: readonly number[]
  metric: AttributionMetric
  direction: PatchDirection
}

/** One prompt of a pair with the metric at its own position. */
export interface Side {
  readonly tokens: readonly number[]
  readonly metric: PlacedMetric
}

export interface Pair {
  readonly direction: PatchDirection
  readonly clean: Side
  readonly corrupt: Side
  /** The prompt that is run, and the one whose activations are put in. */
  readonly base: Side
  readonly source: Side
  /** Left: clean, right: corrupt. */
  readonly alignment: AlignedPair[]
  /** For each position of the base its partner in the source; null where it has none. */
  readonly partners: readonly (number | null)[]
}

/**
 * Prompts of equal length belong together position by position; others by their alignment. A metric at a position given
 * as a number is read at the clean prompt's, and at its partner in the corrupt one.
 * @throws PatchbayError `input.invalid` where the metric does not fit, or its position has no partner
 */
export function pairOf(model: AnalysisModel, request: PairRequest): Pair {
  const { clean, corrupt, metric, direction } = request
  const alignment =
    clean.length === corrupt.length
      ? clean.map((token, i) => ({ left: i, right: i, same: token === corrupt[i] }))
      : align(clean, corrupt)
  const ofClean = placed(model, metric, clean)
  const sides = {
    clean: { tokens: clean, metric: ofClean },
    corrupt: {
      tokens: corrupt,
      metric: placed(
        model,
        metric,
        corrupt,
        metric.position === 'last' ? 'last' : partnerOf(alignment, ofClean.position),
      ),
    },
  }
  const noising = direction === 'noising'
  const base = noising ? sides.clean : sides.corrupt
  const partners = Array<number | null>(base.tokens.length).fill(null)
  for (const { left, right } of alignment) {
    const [at, partner] = noising ? [left, right] : [right, left]
    if (at !== null) partners[at] = partner
  }
  return { direction, ...sides, base, source: noising ? sides.corrupt : sides.clean, alignment, partners }
}

function partnerOf(alignment: readonly AlignedPair[], position: number): number {
  const partner = alignment.find(({ left }) => left === position)?.right ?? null
  if (partner !== null) return partner
  throw new PatchbayError(
    'input.invalid',
    `Position ${position} of the clean prompt, where the metric is read, has no partner in the corrupt one.`,
    { next: 'Choose the last position, or one that both prompts have.', field: 'metric' },
  )
}

/** The metric of a prompt as it is. */
export async function metricOfPrompt(
  model: AnalysisModel,
  { tokens, metric }: Side,
  options: RunOptions = {},
): Promise<number> {
  const request = runRequest.parse({
    model: model.facts.fingerprint,
    rows: [tokens],
    logits: logitsFor([metric]),
  })
  const { logits } = await model.run({ request, tensors: {} }, options)
  return metricOf(logits, 0, metric)
}

/** Differences below this share of the metrics are float32 noise. */
const NOISE = 1e-6

/** Metrics of clean and corrupt, and whether anything can be normalised by their difference. */
export function endsOf(clean: number, corrupt: number): MetricEnds {
  if (!Number.isFinite(clean) || !Number.isFinite(corrupt))
    return { clean, corrupt, problem: 'The metric is not a finite number for one of the prompts.' }
  const same = Math.abs(clean - corrupt) <= NOISE * Math.max(Math.abs(clean), Math.abs(corrupt))
  const problem = same
    ? 'Clean and corrupt have the same metric, so effects cannot be normalised by their difference: they are shown as they are.'
    : null
  return { clean, corrupt, problem }
}

/** 0 as corrupt (never −0), 1 as clean; null where the two are the same. */
export const normalised = ({ clean, corrupt, problem }: MetricEnds, metric: number): number | null =>
  problem === null ? (metric - corrupt) / (clean - corrupt) + 0 : null

/** Effects on the base's metric with what they come to between corrupt and clean. */
export function effectMap(ends: MetricEnds, base: number, effect: Tensor): EffectMap {
  const { clean, corrupt, problem } = ends
  if (problem !== null) return { effect, normalised: null }
  const data = effect.data.map((change) => (base + change - corrupt) / (clean - corrupt))
  return { effect, normalised: { shape: effect.shape, data } }
}
