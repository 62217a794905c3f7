/** Components that are replaced at once, but for a set that is kept. */
import type { Tensor } from '../../../preload/tensor'
import type { AffinePort } from '../../runtime/ports'
import { offsetsOf, selectedAxes } from '../../runtime/wave/site'
import type { RunPair } from './pairs'
import type { SweepSite } from './sites'
import { need } from './source'

/** What a set of kept sites leaves of one component: 1 where the run's own value stays, 0 where the source's is put. */
export interface Kept {
  /** [pos, …] */
  readonly keep: Float32Array
  /** Heads (or whole outputs) that are replaced at some position. */
  readonly replaced: number
  /** Whether nothing is replaced, or nothing stays. */
  readonly all: boolean
  readonly none: boolean
}

export function keptAt(hook: string, sites: readonly SweepSite[], pair: RunPair): Kept {
  const { shape, data } = need(pair.source, hook)
  const [length] = shape
  const keep = new Float32Array(data.length)
  const width = data.length / length
  // Where the other prompt has no partner for a position nothing is replaced.
  pair.partnered.forEach((has, position) => {
    if (!has) keep.fill(1, position * width, (position + 1) * width)
  })
  const every = Array.from({ length }, (_, position) => position)
  for (const site of sites)
    if (site.hook === hook) {
      const axes = selectedAxes({ ...site, positions: site.positions ?? every }, shape)
      for (const at of offsetsOf(axes, shape)) keep[at] = 1
    }
  const heads = shape.length === 3 ? shape[1] : 1
  const size = width / heads
  let replaced = 0
  for (let head = 0; head < heads; head++)
    if (
      every.some((position) =>
        keep.subarray(position * width + head * size, position * width + (head + 1) * size).includes(0),
      )
    )
      replaced++
  return { keep, replaced, all: replaced === 0, none: !keep.includes(1) }
}

/** The port that replaces a component of rows, each but for what it keeps. */
export function replacingPort({ shape, data }: Tensor, rows: readonly Kept[]): AffinePort {
  const keep = new Float32Array(rows.length * data.length)
  const value = new Float32Array(rows.length * data.length)
  rows.forEach((row, i) => {
    keep.set(row.keep, i * data.length)
    data.forEach((x, at) => (value[i * data.length + at] = row.keep[at] === 1 ? 0 : x))
  })
  const whole = [rows.length, ...shape]
  return { kind: 'affine', keep: { shape: whole, data: keep }, value: { shape: whole, data: value } }
}
