/**
 * Where the training of a dictionary begins: decoder rows in random directions, the encoder its transpose (Conerly et al.
 * 2024), b_dec the mean of what is reconstructed, all else zero. A transcoder's encoder has directions of its own.
 */
import { sizeOf } from '../../../preload/tensor'
import type { Parameter } from '../optimiser/parameter'
import type { SeededRandom } from '../random'
import type { DictionaryConfig } from './config'
import { normaliseRows } from './decoder'
import type { DictionarySettings } from './settings'
import { parameterShapes } from './training-graph'

/** Whether the decoder's rows are kept at length 1; a standard dictionary pays for their length instead. */
export const hasUnitDecoder = ({ activation }: Pick<DictionaryConfig, 'activation'>): boolean =>
  activation !== 'standard'

/** @param mean of what is reconstructed [d_out] */
export function initialParameters(
  config: DictionaryConfig,
  { threshold }: DictionarySettings,
  mean: Float32Array,
  random: SeededRandom,
): Parameter[] {
  const { dIn, dOut, dSae, transcoder } = config
  const directions = (width: number): Float32Array => {
    const rows = Float32Array.from({ length: dSae * width }, () => random.normal())
    normaliseRows(rows, width, hasUnitDecoder(config) ? 1 : 0.1)
    return rows
  }
  const decoder = directions(dOut)
  const encoder = transcoder ? directions(dIn) : decoder
  const values: Readonly<Record<string, (shape: readonly number[]) => Float32Array>> = {
    W_dec: () => decoder,
    W_enc: () =>
      Float32Array.from({ length: dIn * dSae }, (_, i) => encoder[(i % dSae) * dIn + Math.floor(i / dSae)]),
    b_dec: () => mean.slice(),
    log_threshold: () => new Float32Array(dSae).fill(Math.log(threshold)),
  }
  return [...parameterShapes(config)].map(([name, shape]) => ({
    name,
    shape,
    data: (Object.hasOwn(values, name) ? values[name] : zeros)(shape),
  }))
}

const zeros = (shape: readonly number[]): Float32Array => new Float32Array(sizeOf(shape))
