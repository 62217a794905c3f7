/** Which positions of a search are shown: the highest, the lowest, and samples between quantiles. */
import { SeededRandom } from '../../training/random'
import type { Scores } from './scores'

/** A position by its row's place in the scores, and its place among that row's. */
export interface Pick {
  index: number
  at: number
  value: number
}

/**
 * The positions with the highest values (`sign` 1) or the lowest (−1), the most extreme first, earlier ones before later ones
 * of the same value.
 * @param distinctRows at most one of each row
 */
export function extremes(scores: Scores, count: number, sign: 1 | -1, distinctRows: boolean): Pick[] {
  const best: Pick[] = []
  const better = (value: number): boolean =>
    best.length < count || sign * value > sign * best[best.length - 1].value
  const insert = (pick: Pick): void => {
    let place = best.length
    while (place > 0 && sign * pick.value > sign * best[place - 1].value) place--
    best.splice(place, 0, pick)
    if (best.length > count) best.pop()
  }
  for (let index = 0; index < scores.rows.length; index++) {
    const own = scores.of(index)
    let top = -1
    for (let at = 0; at < own.length; at++) {
      const value = own[at]
      if (!Number.isFinite(value)) continue
      if (!distinctRows) {
        if (better(value)) insert({ index, at, value })
      } else if (top < 0 || sign * value > sign * own[top]) top = at
    }
    if (top >= 0 && better(own[top])) insert({ index, at: top, value: own[top] })
  }
  return best
}

/** Where intervals end: coarse in the middle, fine where a feature is active. */
const LEVELS = [0, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1]

/** Values at the levels, each once; `sorted` ascending. */
export function quantileEdges(sorted: Float32Array): number[] {
  if (sorted.length === 0) return []
  return [...new Set(LEVELS.map((level) => sorted[Math.round(level * (sorted.length - 1))]))]
}

/**
 * For each interval between quantiles some of its positions, drawn with a seed; each position is in one interval.
 * Reservoir sampling (Vitter 1985).
 */
export function quantileSamples(
  scores: Scores,
  edges: readonly number[],
  count: number,
  seed: number,
): { from: number; to: number; picks: Pick[] }[] {
  const random = new SeededRandom(seed | 0)
  const last = Math.max(1, edges.length - 1)
  const intervals = Array.from({ length: edges.length === 0 ? 0 : last }, (_, i) => ({
    from: edges[i],
    to: edges[Math.min(i + 1, edges.length - 1)],
    picks: [] as Pick[],
    seen: 0,
  }))
  for (let index = 0; index < scores.rows.length; index++)
    scores.of(index).forEach((value, at) => {
      if (!Number.isFinite(value)) return
      let i = 0
      while (i < last - 1 && value >= edges[i + 1]) i++
      const interval = intervals[i]
      interval.seen++
      if (interval.picks.length < count) interval.picks.push({ index, at, value })
      else {
        const place = random.integer(0, interval.seen - 1)
        if (place < count) interval.picks[place] = { index, at, value }
      }
    })
  return intervals.map(({ from, to, picks }) => ({
    from,
    to,
    picks: picks.sort((a, b) => b.value - a.value || a.index - b.index || a.at - b.at),
  }))
}
