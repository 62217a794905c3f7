/** Activations with a known dictionary in them: sparse sums of unit directions, as superposition has it. */
import type { ActivationChunk, ActivationSource } from '../../../main/training/stream/source'
import { SeededRandom } from '../../../main/training/random'
import { normaliseRows } from '../../../main/training/dictionary/decoder'

export interface Planted extends ActivationSource {
  /** [features, d] */
  readonly directions: Float32Array
}

/**
 * @param scale multiplies all, to be found out by training
 * @param dOut for transcoders: outputs are the same sparse codes in another dictionary
 */
export function planted(
  {
    d,
    features,
    active,
    chunks,
    rows,
    scale = 1,
  }: Record<'d' | 'features' | 'active' | 'chunks' | 'rows', number> & { scale?: number },
  dOut: number | null = null,
): Planted {
  const dictionary = (width: number, seed: number): Float32Array => {
    const random = new SeededRandom(seed)
    const made = Float32Array.from({ length: features * width }, () => random.normal())
    normaliseRows(made, width)
    return made
  }
  const directions = dictionary(d, 11)
  const outputs = dOut === null ? null : dictionary(dOut, 12)
  const chunkAt = (index: number): ActivationChunk => {
    const random = new SeededRandom(1000 + index)
    const x = new Float32Array(rows * d)
    const y = outputs === null || dOut === null ? undefined : new Float32Array(rows * dOut)
    const numbers = Array.from({ length: features }, (_, i) => i)
    for (let row = 0; row < rows; row++)
      for (const feature of random.sample(numbers, active)) {
        const strength = scale * (1 + random.float())
        for (let i = 0; i < d; i++) x[row * d + i] += strength * directions[feature * d + i]
        if (y !== undefined && outputs !== null && dOut !== null)
          for (let i = 0; i < dOut; i++) y[row * dOut + i] += strength * outputs[feature * dOut + i]
      }
    return { rows, x, y }
  }
  return {
    dIn: d,
    dOut,
    directions,
    chunks: async function* (skip) {
      for (let index = skip; index < chunks; index++) yield chunkAt(index)
    },
  }
}

/** For each planted direction the largest cosine with a decoder row; their mean. */
export function meanMaxCosine(directions: Float32Array, decoder: Float32Array, width: number): number {
  const rows = decoder.slice()
  normaliseRows(rows, width)
  let sum = 0
  for (let start = 0; start < directions.length; start += width) {
    let best = -1
    for (let at = 0; at < rows.length; at += width) {
      let dot = 0
      for (let i = 0; i < width; i++) dot += directions[start + i] * rows[at + i]
      best = Math.max(best, dot)
    }
    sum += best
  }
  return (sum * width) / directions.length
}
