/** Values of sites as they are found: kept, sent on, and put together at the end. */
import type { MetricEnds } from '../../../preload/attribution'
import type { KnownSites, SweepPlan, SweepProgress } from '../../../preload/sweep'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { normalised } from '../attribution/pair'
import { invalid } from './sites'

export class Findings {
  /** [site, metric] */
  readonly #raw: Float32Array
  readonly #found: Uint8Array
  #done = 0

  constructor(
    private readonly plan: SweepPlan,
    private readonly onProgress: ((progress: SweepProgress) => void) | undefined,
  ) {
    this.#raw = new Float32Array(this.total * this.metrics)
    this.#found = new Uint8Array(this.total)
  }

  get total(): number {
    return sizeOf(this.plan.shape)
  }

  get metrics(): number {
    return this.plan.ends.length
  }

  /** What was known before. @throws PatchbayError `input.invalid` where it does not fit this sweep */
  know({ sites, raw }: KnownSites): void {
    if (raw.shape.length !== 2 || raw.shape[0] !== sites.length || raw.shape[1] !== this.metrics)
      throw invalid(
        `Known values [${raw.shape.join(', ')}] do not fit ${sites.length} sites and ${this.metrics} metrics`,
        'known',
      )
    sites.forEach((site, i) => {
      if (site < 0 || site >= this.total || this.has(site))
        throw invalid(
          `Known site ${site} is none of this sweep's ${this.total}, or it is there twice`,
          'known.sites',
        )
      this.#keep(site, raw.data.subarray(i * this.metrics, (i + 1) * this.metrics))
    })
  }

  has(site: number): boolean {
    return this.#found[site] === 1
  }

  /** Says what is swept. */
  begin(): void {
    this.onProgress?.({ kind: 'plan', plan: this.plan, done: this.#done, total: this.total })
  }

  /** Sites that are finished. */
  add(sites: readonly number[], values: readonly (readonly number[])[]): void {
    if (sites.length === 0) return
    sites.forEach((site, i) => this.#keep(site, values[i]))
    const raw = { shape: [sites.length, this.metrics], data: Float32Array.from(values.flat()) }
    this.onProgress?.({
      kind: 'values',
      sites: Int32Array.from(sites),
      raw,
      done: this.#done,
      total: this.total,
    })
  }

  /** [metric, …shape] */
  raw(): Tensor {
    const { total, metrics } = this
    const data = new Float32Array(total * metrics)
    for (let site = 0; site < total; site++)
      for (let metric = 0; metric < metrics; metric++)
        data[metric * total + site] = this.#raw[site * metrics + metric]
    return { shape: [metrics, ...this.plan.shape], data }
  }

  /** For each metric its map between corrupt (0) and clean (1); null where the two are the same. */
  normalised(): (Tensor | null)[] {
    const { data } = this.raw()
    return this.plan.ends.map((ends: MetricEnds, metric) => {
      if (ends.problem !== null) return null
      const values = data.subarray(metric * this.total, (metric + 1) * this.total)
      return { shape: this.plan.shape, data: values.map((value) => normalised(ends, value) ?? NaN) }
    })
  }

  #keep(site: number, values: ArrayLike<number>): void {
    this.#raw.set(values, site * this.metrics)
    this.#found[site] = 1
    this.#done++
  }
}

/**
 * Sites that are to be run, in the order wanted: those listed first, then the others, last ones first: few blocks follow the
 * sites of the last layers, so their values are there at once.
 * @throws PatchbayError `input.invalid` for a site that is none, or is listed twice
 */
export function wantedOrder(total: number, order: readonly number[] | undefined, known: Findings): number[] {
  const listed = order ?? []
  const first = new Set(listed)
  const bad = listed.find((site) => site >= total)
  if (bad !== undefined) throw invalid(`There is no site ${bad}: the sweep has ${total}`, 'order')
  if (first.size !== listed.length) throw invalid('A site is listed twice', 'order')
  const rest = Array.from({ length: total }, (_, i) => total - 1 - i).filter((site) => !first.has(site))
  return [...listed, ...rest].filter((site) => !known.has(site))
}
