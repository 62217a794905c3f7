/**
 * The scale at which a dictionary is trained. Penalties, thresholds and rates mean the same at every hook point if
 * activations have a mean norm of √d; when training ends the factor goes into the weights, so that they read activations
 * as they are (SAELens' `expected_average_only_in`).
 */
import type { Tensor } from '../../../preload/tensor'
import type { DictionaryWeights } from './config'

/** √d / mean ‖row‖ of x [rows, d]; 1 where all is zero. */
export function scaleOf(x: Float32Array, width: number): number {
  const rows = x.length / width
  let sum = 0
  for (let row = 0; row < rows; row++) {
    let square = 0
    for (let i = row * width; i < (row + 1) * width; i++) square += x[i] * x[i]
    sum += Math.sqrt(square)
  }
  return sum === 0 ? 1 : (Math.sqrt(width) * rows) / sum
}

/**
 * Weights that read x and give y from weights that read `input` · x and give `output` · y:
 * W_enc · input, W_dec / output, b_dec / output, W_skip · input / output; what is in between stays.
 */
export function folded(weights: DictionaryWeights, input: number, output: number): DictionaryWeights {
  const factors: Readonly<Record<string, number>> = {
    W_enc: input,
    W_dec: 1 / output,
    b_dec: 1 / output,
    W_skip: input / output,
  }
  const scaled = ({ shape, data }: Tensor, factor: number): Tensor => ({
    shape,
    data: data.map((value) => value * factor),
  })
  return new Map([...weights].map(([name, tensor]) => [name, scaled(tensor, factors[name] ?? 1)]))
}
