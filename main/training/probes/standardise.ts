/** Standardisation: (x − mean) / scale for each dimension, fitted on the training rows. */
import type { Examples } from './examples'

export interface Standardisation {
  /** [width] */
  readonly mean: Float64Array
  /** Population deviations (n in the denominator); 1 where a dimension does not vary. [width] */
  readonly scale: Float64Array
}

export function fitStandardisation({ features, width, labels }: Examples): Standardisation {
  const rows = labels.length
  const mean = new Float64Array(width)
  const square = new Float64Array(width)
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < width; i++) mean[i] += features[row * width + i] / rows
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < width; i++) square[i] += (features[row * width + i] - mean[i]) ** 2 / rows
  return { mean, scale: square.map((variance) => (variance > 0 ? Math.sqrt(variance) : 1)) }
}

/** Features [rows, width] in float64, standardised or as they are. */
export function prepared(
  { features, width }: Examples,
  standardisation: Standardisation | null,
): Float64Array {
  const x = Float64Array.from(features)
  if (standardisation === null) return x
  const { mean, scale } = standardisation
  for (let i = 0; i < x.length; i++) x[i] = (x[i] - mean[i % width]) / scale[i % width]
  return x
}
