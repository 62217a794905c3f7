/** How good a dictionary is on activations that it was not trained on. */
import { PatchbayError } from '../../../preload/errors'
import type { ActivationSource } from '../stream/source'
import type { Dictionary } from './dictionary'

export interface DictionaryStatistics {
  readonly rows: number
  /** Mean number of active features a row. */
  readonly l0: number
  /** 1 − Σ‖y − ŷ‖² / Σ‖y − mean y‖² */
  readonly explainedVariance: number
  /** Mean ‖y − ŷ‖². */
  readonly squaredError: number
  /** Fraction of features that were active in no row. */
  readonly dead: number
  /** Fraction of rows in which each feature was active [d_sae]. */
  readonly density: Float64Array
}

/** @throws PatchbayError `input.invalid` where there are no rows */
export async function dictionaryStatistics(
  dictionary: Dictionary,
  source: ActivationSource,
): Promise<DictionaryStatistics> {
  const { dIn, dOut, dSae } = dictionary.config
  const active = new Float64Array(dSae)
  const sum = new Float64Array(dOut)
  let rows = 0
  let squares = 0
  let errors = 0
  for await (const chunk of source.chunks(0)) {
    const y = chunk.y ?? chunk.x
    const { features, reconstruction } = await dictionary.run({ shape: [chunk.rows, dIn], data: chunk.x })
    features.data.forEach((value, i) => {
      if (value !== 0) active[i % dSae]++
    })
    y.forEach((value, i) => {
      sum[i % dOut] += value
      squares += value * value
      errors += (value - reconstruction.data[i]) ** 2
    })
    rows += chunk.rows
  }
  if (rows === 0)
    throw new PatchbayError('input.invalid', 'There are no activations to judge the dictionary by.', {
      next: 'Give some prompts that it was not trained on.',
    })
  const variance = squares - sum.reduce((total, value) => total + (value * value) / rows, 0)
  return {
    rows,
    l0: active.reduce((total, count) => total + count, 0) / rows,
    explainedVariance: 1 - errors / variance,
    squaredError: errors / rows,
    dead: active.filter((count) => count === 0).length / dSae,
    density: active.map((count) => count / rows),
  }
}
