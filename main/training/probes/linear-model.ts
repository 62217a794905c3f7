/** A fitted probe: a direction and a threshold on activations, whatever method found them. */
import { dot } from './cholesky'
import type { Examples } from './examples'
import type { Standardisation } from './standardise'

export interface LinearModel {
  /** [width], in the space it was fitted in */
  readonly weights: Float64Array
  readonly intercept: number
  /** What was done to activations before; null for nothing. */
  readonly standardisation: Standardisation | null
}

/** The same probe on raw activations: score = x·direction + intercept. */
export function onRaw({ weights, intercept, standardisation }: LinearModel): {
  direction: Float64Array
  intercept: number
} {
  if (standardisation === null) return { direction: weights, intercept }
  const { mean, scale } = standardisation
  const direction = weights.map((w, i) => w / scale[i])
  return { direction, intercept: intercept - dot(direction, 0, mean, 0, mean.length) }
}

/** Scores x·w + b [rows]; positive says positive. */
export function scoresOf(model: LinearModel, { features, width, labels }: Examples): Float64Array {
  const { direction, intercept } = onRaw(model)
  return Float64Array.from(
    { length: labels.length },
    (_, row) => dot(features, row * width, direction, 0, width) + intercept,
  )
}
