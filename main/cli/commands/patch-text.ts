/** What a terminal shows of a sweep and of a scrubbing check. */
import type { ScrubRequest, ScrubResult, SweepResult } from '../../../preload/sweep'
import { unravel } from '../../../preload/tensor'
import { forTerminal } from '../output'

/** The two ends, and the sites with the largest effects. */
export function printSweep(
  { plan, raw, normalised, computed, unchanged, seconds, notes }: SweepResult,
  texts: readonly string[],
): void {
  const [{ clean, corrupt }] = plan.ends
  console.log(`clean ${clean.toFixed(4)}, corrupt ${corrupt.toFixed(4)}`)
  console.log(
    `${computed} sites run, ${unchanged} exact without a run, in ${seconds.toFixed(2)} s (${Math.round((computed + unchanged) / seconds)} sites/s)`,
  )
  const sites = raw.data.length / plan.ends.length
  const values = raw.data.subarray(0, sites)
  const score = (site: number): number => Math.abs(normalised[0]?.data[site] ?? values[site])
  const order = Array.from({ length: sites }, (_, i) => i).sort((a, b) => score(b) - score(a))
  for (const site of order.slice(0, 10)) {
    const index = unravel(plan.shape, site)
    const places = plan.axes.map(({ name, values: along }, axis) => {
      const place = along[index[axis]]
      return name === 'position'
        ? `position ${place} ${JSON.stringify(texts[place] ?? '')}`
        : `${name} ${place}`
    })
    const share = normalised[0] === null ? '' : `  ${normalised[0].data[site].toFixed(3).padStart(7)}`
    console.log(`  ${values[site].toFixed(4).padStart(9)}${share}  ${forTerminal(places.join(', '))}`)
  }
  for (const note of notes) console.log(note)
}

/** For each metric the two ends, and for each set its mean, how far draws lie from it, and what that is between the ends. */
export function printScrub({ circuits, ends }: ScrubResult, { metrics, draws }: ScrubRequest): void {
  for (const [metric, { clean, corrupt, problem }] of ends.entries()) {
    const name = metrics.length === 1 ? '' : `${metrics[metric].kind}: `
    console.log(`${name}clean ${clean.toFixed(4)}, corrupt ${corrupt.toFixed(4)}`)
    for (const [set, { kept, replaced, values, mean, normalised }] of circuits.entries()) {
      const drawn = values.data.subarray(metric * draws, (metric + 1) * draws)
      const range =
        draws === 1
          ? ''
          : `, ${draws} draws from ${Math.min(...drawn).toFixed(4)} to ${Math.max(...drawn).toFixed(4)}`
      const share = normalised[metric]?.toFixed(3).padStart(7) ?? ''
      console.log(
        `  ${mean[metric].toFixed(4).padStart(9)}  ${share}  set ${set}: ${kept} kept, ${replaced} replaced${range}`,
      )
    }
    if (problem !== null) console.log(problem)
  }
}
