/** Times a thing beside its floor, turn by turn, so that what else the machine does falls on both alike. */

export interface Timing {
  median_s: number
  min_s: number
  runs: number
}

export interface Pair {
  ours: Timing
  floor: Timing
  /** Ours over floor, of the medians and of the minima. */
  ratio: number
  ratio_min: number
}

type Work = () => Promise<unknown>

const seconds = async (work: Work): Promise<number> => {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

export function timing(times: readonly number[]): Timing {
  const sorted = [...times].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median_s: median, min_s: sorted[0], runs: sorted.length }
}

export const pairOf = (ours: readonly number[], floor: readonly number[]): Pair => {
  const [a, b] = [timing(ours), timing(floor)]
  return { ours: a, floor: b, ratio: a.median_s / b.median_s, ratio_min: a.min_s / b.min_s }
}

/** Runs both once untimed, then `runs` times each, alternating. */
export async function measurePair(ours: Work, floor: Work, runs: number): Promise<Pair> {
  await ours()
  await floor()
  const times: [number[], number[]] = [[], []]
  for (let i = 0; i < runs; i++) {
    times[0].push(await seconds(ours))
    times[1].push(await seconds(floor))
  }
  return pairOf(...times)
}
