/**
 * Value ranges of the charts. The same quantity is drawn on the same scale everywhere: views ask here for the scale of a
 * quantity and don't make up their own.
 */
import type { ColourMapName } from './scales'

/** A range of values and the kind of colour map it needs; `diverging` ranges are symmetric about zero. */
export interface Domain {
  kind: 'sequential' | 'diverging'
  min: number
  max: number
}

/** Lowest and highest finite value; null where there is none. */
export function extent(values: ArrayLike<number>): [number, number] | null {
  let low = Infinity
  let high = -Infinity
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (!Number.isFinite(value)) continue
    if (value < low) low = value
    if (value > high) high = value
  }
  return low <= high ? [low, high] : null
}

/** 0 … the highest finite value of all given arrays (1 where there is none above 0). */
export function fromZero(...arrays: ArrayLike<number>[]): Domain {
  const high = Math.max(0, ...arrays.map((values) => extent(values)?.[1] ?? 0))
  return { kind: 'sequential', min: 0, max: high > 0 ? high : 1 }
}

/** −m … m with m the largest finite magnitude of all given arrays (1 where all are 0). */
export function symmetric(...arrays: ArrayLike<number>[]): Domain {
  let bound = 0
  for (const values of arrays) {
    const range = extent(values)
    if (range !== null) bound = Math.max(bound, Math.abs(range[0]), Math.abs(range[1]))
  }
  return { kind: 'diverging', min: bound > 0 ? -bound : -1, max: bound > 0 ? bound : 1 }
}

/** A quantity as the views show it: its words, its range, its colours. */
export interface Quantity {
  /** Title of legends and axes, with the unit where there is one. */
  title: string
  /** The range, from the values that are shown together (several arrays share one scale). */
  domain: (...values: ArrayLike<number>[]) => Domain
  sequential: Extract<ColourMapName, 'viridis' | 'cividis'>
}

const fixed = (kind: Domain['kind'], min: number, max: number) => (): Domain => ({ kind, min, max })

export const quantities = {
  probability: { title: 'probability', domain: fixed('sequential', 0, 1), sequential: 'viridis' },
  probabilityDifference: {
    title: 'probability, right − left',
    domain: fixed('diverging', -1, 1),
    sequential: 'viridis',
  },
  attention: { title: 'attention', domain: fixed('sequential', 0, 1), sequential: 'viridis' },
  attentionDifference: {
    title: 'attention, right − left',
    domain: fixed('diverging', -1, 1),
    sequential: 'viridis',
  },
  attentionChange: { title: 'attention, patched − base', domain: symmetric, sequential: 'viridis' },
  entropy: { title: 'entropy (nats)', domain: fromZero, sequential: 'cividis' },
  divergence: { title: 'KL divergence (nats)', domain: fromZero, sequential: 'cividis' },
  norm: { title: 'L2 norm', domain: fromZero, sequential: 'cividis' },
  normDifference: { title: 'L2 norm, right − left', domain: symmetric, sequential: 'cividis' },
  cosine: { title: 'cosine', domain: fixed('diverging', -1, 1), sequential: 'cividis' },
  activation: { title: 'activation', domain: symmetric, sequential: 'cividis' },
  logitEffect: { title: 'contribution (logits)', domain: symmetric, sequential: 'cividis' },
  tokenEffect: { title: 'contribution to the metric', domain: symmetric, sequential: 'cividis' },
  patchShare: { title: 'normalised (0 corrupt, 1 clean)', domain: symmetric, sequential: 'cividis' },
  patchEffect: { title: 'effect on the metric', domain: symmetric, sequential: 'cividis' },
  weight: { title: 'weight', domain: symmetric, sequential: 'cividis' },
} as const satisfies Record<string, Quantity>
export type QuantityName = keyof typeof quantities

/** Colour map for a domain: sequential ones by quantity, signed ones by the theme's diverging map. */
export const colourMapFor = (
  domain: Domain,
  sequential: Quantity['sequential'],
  diverging: ColourMapName,
): ColourMapName => (domain.kind === 'diverging' ? diverging : sequential)

/** Where a value lies in a domain, 0 … 1, clamped; NaN stays NaN, infinities go to the ends. */
export const fractionIn = (domain: Domain, value: number): number =>
  Number.isNaN(value) ? NaN : Math.min(1, Math.max(0, (value - domain.min) / (domain.max - domain.min)))
