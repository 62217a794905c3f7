/**
 * Top-activating contexts: where in a collection something is most active, how its values are distributed, and what it is
 * active on. One pass over the values; of the positions that are shown the rows are read again, and all rows' tokens to
 * count who has the same text.
 */
import type { SearchResult, SearchTarget } from '../../../preload/collections'
import { HistogramCounter, Moments } from '../../analysis/statistics'
import type { OpenCollection } from '../collection'
import { streamRows, type Progress } from '../stream'
import { contextsOf, contextText, countRows, placesOf, shownToken, type Window } from './contexts'
import { Extremes, quantileEdges, quantileSamples, type Pick } from './pick'
import { Scores } from './scores'
import { scorerOf, type PresetVectors } from './target'

export interface SearchOptions {
  output: string
  target: SearchTarget
  /** Contexts at either end. */
  count: number
  perQuantile: number
  window: Window
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
  const { output, count, distinctRows, seed, perQuantile, window } = options
  const scorer = await scorerOf(collection, output, options.target, presets)
  const places = placesOf(collection, output)
  const scores = new Scores()
  const moments = new Moments()
  const labels = new Groups<string>()
  const tokens = new Groups<number>()
  const highest = new Extremes(count, 1, distinctRows)
  const lowest = new Extremes(count, -1, distinctRows)
  let active = 0
  try {
    const stream = streamRows(collection, output, { rows, slice: () => scorer.slice, signal, onProgress })
    for await (const { row, stored, values } of stream) {
      const positions = places(stored)
      const own = await scorer.score(values, positions.length, stored)
      scores.add(row, own)
      const textOf = (at: number) => contextText(stored.tokens, positions[at], window)
      highest.add(scores.rows.length - 1, own, textOf)
      lowest.add(scores.rows.length - 1, own, textOf)
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
  const contexts = (picks: readonly Pick[]) => contextsOf(collection, places, window, scores, picks)
  const [top, bottom] = [await contexts(highest.picks), await contexts(lowest.picks)]
  const quantiles = []
  for (const { from, to, picks } of quantileSamples(scores, quantileEdges(sorted), perQuantile, seed))
    quantiles.push({ from, to, contexts: await contexts(picks) })
  const shown = [...top, ...bottom, ...quantiles.flatMap((each) => each.contexts)]
  await countRows(collection, places, window, Int32Array.from(scores.rows), shown, signal)
  return {
    what: scorer.what,
    positions: finite,
    rows: scores.rows.length,
    mean: summary.mean,
    standardDeviation: summary.standardDeviation,
    active: finite === 0 ? 0 : active / finite,
    histogram: histogram.histogram(),
    top,
    bottom,
    quantiles,
    byLabel: labels
      .sorted(MOST_LABELS)
      .map(({ key: label, mean, max, count: positions }) => ({ label, mean, max, positions })),
    tokens: tokens.sorted(MOST_TOKENS).map(({ key, mean, count: n }) => ({
      token: shownToken(collection.tokens.get(key), key),
      mean,
      count: n,
    })),
  }
}
