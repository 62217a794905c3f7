/**
 * Top-activating contexts: where in a collection something is most active, how its values are distributed, and what it is
 * active on. One pass over the rows; contexts are read again for the positions that are shown.
 */
import type { Context, SearchResult, SearchTarget } from '../../../preload/collections'
import type { TokenInfo } from '../../../preload/prompt'
import { HistogramCounter, Moments } from '../../analysis/statistics'
import type { OpenCollection } from '../collection'
import { streamRows, type Progress } from '../stream'
import { positionAxis } from '../vectors'
import { extremes, quantileEdges, quantileSamples, type Pick } from './pick'
import { Scores } from './scores'
import { scorerOf, type PresetVectors } from './target'

export interface SearchOptions {
  output: string
  target: SearchTarget
  /** Contexts at either end. */
  count: number
  perQuantile: number
  window: readonly [number, number]
  distinctRows: boolean
  seed: number
}

/** Labels and tokens that are told at most. */
const MOST_LABELS = 200
const MOST_TOKENS = 100

/** What is active on what: sums by label and by token id. */
class Groups<K> {
  private readonly sums = new Map<K, { sum: number; count: number; max: number }>()

  add(key: K, value: number): void {
    const known = this.sums.get(key)
    if (known === undefined) {
      this.sums.set(key, { sum: value, count: 1, max: value })
      return
    }
    known.sum += value
    known.count++
    if (value > known.max) known.max = value
  }

  /** The highest mean first. */
  sorted(most: number): { key: K; mean: number; max: number; count: number }[] {
    return [...this.sums]
      .map(([key, { sum, count, max }]) => ({ key, mean: sum / count, max, count }))
      .sort((a, b) => b.mean - a.mean || b.count - a.count)
      .slice(0, most)
  }
}

/**
 * @param rows all unless given
 * @throws PatchbayError as `scorerOf`; `run.cancelled`
 */
export async function search(
  collection: OpenCollection,
  options: SearchOptions,
  rows: Int32Array | null,
  presets: PresetVectors,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (progress: Progress) => void } = {},
): Promise<SearchResult> {
  const { output, count, distinctRows, seed, perQuantile } = options
  const scorer = await scorerOf(collection, output, options.target, presets)
  const places = placesOf(collection, output)
  const scores = new Scores()
  const moments = new Moments()
  const labels = new Groups<string>()
  const tokens = new Groups<number>()
  let active = 0
  try {
    const stream = streamRows(collection, output, { rows, slice: () => scorer.slice, signal, onProgress })
    for await (const { row, stored, values } of stream) {
      const positions = places(stored)
      const own = await scorer.score(values, positions.length, stored)
      scores.add(row, own)
      moments.add(own)
      own.forEach((value, i) => {
        if (!Number.isFinite(value)) return
        if (value > 0) active++
        tokens.add(stored.tokens[positions[i]], value)
        if (stored.label !== null) labels.add(stored.label, value)
      })
    }
  } finally {
    await scorer.release()
  }
  const summary = moments.summary()
  const finite = summary.count - summary.notFinite
  const histogram = new HistogramCounter(summary)
  histogram.add(scores.values)
  const sorted = scores.values.filter(Number.isFinite).sort()
  const contexts = (picks: readonly Pick[]) => contextsOf(collection, options, scores, picks)
  const quantiles = []
  for (const { from, to, picks } of quantileSamples(scores, quantileEdges(sorted), perQuantile, seed))
    quantiles.push({ from, to, contexts: await contexts(picks) })
  return {
    what: scorer.what,
    positions: finite,
    rows: scores.rows.length,
    mean: summary.mean,
    standardDeviation: summary.standardDeviation,
    active: finite === 0 ? 0 : active / finite,
    histogram: histogram.histogram(),
    top: await contexts(extremes(scores, count, 1, distinctRows)),
    bottom: await contexts(extremes(scores, count, -1, distinctRows)),
    quantiles,
    byLabel: labels
      .sorted(MOST_LABELS)
      .map(({ key: label, mean, max, count: positions }) => ({ label, mean, max, positions })),
    tokens: tokens.sorted(MOST_TOKENS).map(({ key, mean, count: n }) => ({
      token: shown(collection.tokens.get(key), key),
      mean,
      count: n,
    })),
  }
}

/** The position of each score of a row: those that are kept, or the last of those that were reduced to one. */
const placesOf = (collection: OpenCollection, output: string) => {
  const reduced = positionAxis(collection.output(output)) < 0
  return (stored: Parameters<OpenCollection['positionsOf']>[0]): number[] => {
    const positions = collection.positionsOf(stored, output)
    return reduced ? positions.slice(-1) : positions
  }
}

const shown = (token: TokenInfo | undefined, id: number): Context['tokens'][0] => ({
  id,
  text: token?.text ?? '',
  special: token?.special ?? false,
})

async function contextsOf(
  collection: OpenCollection,
  { output, window: [before, behind] }: SearchOptions,
  scores: Scores,
  picks: readonly Pick[],
): Promise<Context[]> {
  const places = placesOf(collection, output)
  const contexts: Context[] = []
  for (const { index, at, value } of picks) {
    const row = scores.rows[index]
    const stored = await collection.row(row)
    const positions = places(stored)
    const position = positions[at]
    const start = Math.max(0, position - before)
    const end = Math.min(stored.tokens.length, position + behind + 1)
    const values = new Float32Array(end - start).fill(NaN)
    const own = scores.of(index)
    positions.forEach((place, i) => {
      if (place >= start && place < end) values[place - start] = own[i]
    })
    contexts.push({
      row,
      position,
      value,
      label: stored.label,
      start,
      tokens: stored.tokens.slice(start, end).map((id) => shown(collection.tokens.get(id), id)),
      values,
    })
  }
  return contexts
}
