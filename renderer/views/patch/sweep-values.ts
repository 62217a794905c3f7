/** A sweep's numbers as they are drawn: effects or shares, estimates where the exact value is not there yet. */
import type { EffectMap } from '../../../preload/attribution'
import type { SweepPlan } from '../../../preload/sweep'

export const scaleOptions = [
  { value: 'normalised', label: 'Normalised' },
  { value: 'effect', label: 'Effect' },
] as const
export type Scale = (typeof scaleOptions)[number]['value']

export interface ShownValues {
  values: Float32Array
  /** Cells whose value is an estimate. */
  estimated: boolean[]
}

/**
 * @param raw metric at each site; NaN where it is not there
 * @param estimate effects for the same cells; null without
 * @param scale effect: metric − metric of the base. normalised: (metric − corrupt) / (clean − corrupt)
 */
export function shownValues(
  raw: Float32Array,
  { ends }: Pick<SweepPlan, 'ends'>,
  direction: 'denoising' | 'noising',
  estimate: EffectMap['effect'] | null,
  scale: Scale,
): ShownValues {
  const [{ clean, corrupt }] = ends
  const base = direction === 'denoising' ? corrupt : clean
  const values = new Float32Array(raw.length)
  const estimated: boolean[] = []
  for (let i = 0; i < raw.length; i++) {
    const exact = Number.isFinite(raw[i])
    const guess = estimate === null || estimate.data.length !== raw.length ? NaN : base + estimate.data[i]
    const metric = exact ? raw[i] : guess
    values[i] = scale === 'effect' ? metric - base : (metric - corrupt) / (clean - corrupt)
    estimated.push(!exact && Number.isFinite(guess))
  }
  return { values, estimated }
}

/** Indices by the magnitude of their estimate, largest first: the order in which a sweep is worth computing. */
export const orderOf = (estimate: EffectMap['effect'] | null): number[] | undefined =>
  estimate === null
    ? undefined
    : Array.from(estimate.data.keys())
        .filter((i) => Number.isFinite(estimate.data[i]))
        .sort((a, b) => Math.abs(estimate.data[b]) - Math.abs(estimate.data[a]))
