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
 * Collects the positions with the highest values (`sign` 1) or the lowest (−1), the most extreme first, earlier ones before
 * later ones of the same value. Of positions whose contexts read the same only the most extreme is kept: else one text that
 * a data set has often fills the list.
 */
export class Extremes {
  private readonly best: (Pick & { text: string })[] = []

  /** @param distinctRows at most one of each row */
  constructor(
    private readonly count: number,
    private readonly sign: 1 | -1,
    private readonly distinctRows: boolean,
  ) {}

  get picks(): readonly Pick[] {
    return this.best
  }

  /**
   * Rows come in order.
   * @param textOf what is read around a position
   */
  add(index: number, own: Float32Array, textOf: (at: number) => string): void {
    let top = -1
    for (let at = 0; at < own.length; at++) {
      if (!Number.isFinite(own[at])) continue
      if (!this.distinctRows) this.offer(index, at, own[at], textOf)
      else if (top < 0 || this.over(own[at], own[top])) top = at
    }
    if (top >= 0) this.offer(index, top, own[top], textOf)
  }

  private over(a: number, b: number): boolean {
    return this.sign * a > this.sign * b
  }

  private offer(index: number, at: number, value: number, textOf: (at: number) => string): void {
    const { best, count } = this
    if (best.length === count && !this.over(value, best[count - 1].value)) return
    const text = textOf(at)
    const same = best.findIndex((each) => each.text === text)
    if (same >= 0) {
      if (!this.over(value, best[same].value)) return
      best.splice(same, 1)
    }
    let place = best.length
    while (place > 0 && this.over(value, best[place - 1].value)) place--
    best.splice(place, 0, { index, at, value, text })
    if (best.length > count) best.pop()
  }
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
