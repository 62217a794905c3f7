/**
 * Dead features get a new beginning (Bricken et al., "Towards Monosemanticity", 2023, appendix): at a row that is badly
 * reconstructed, chosen with probability in proportion to the square of its loss, the decoder points to that row, the
 * encoder reads the same direction at a fifth of the others' mean length, biases are zero and the optimiser forgets.
 */
import type { AdamW } from '../optimiser/adamw'
import type { Parameter } from '../optimiser/parameter'
import type { SeededRandom } from '../random'
import type { DictionaryConfig } from './config'
import { normaliseRows, rowNorm } from './decoder'
import { hasUnitDecoder } from './initial'
import type { ActivationChunk } from '../stream/source'

export interface Resampling {
  readonly config: DictionaryConfig
  readonly parameters: readonly Parameter[]
  readonly optimiser: AdamW
  readonly random: SeededRandom
  /** Scaled, as it was trained on. */
  readonly batch: ActivationChunk
  /** [rows] */
  readonly rowErrors: Float32Array
}

/** @returns how many features began anew: none where no row is reconstructed with an error */
export function resample(dead: readonly number[], resampling: Resampling): number {
  const { config, parameters, optimiser, random, batch, rowErrors } = resampling
  const total = rowErrors.reduce((sum, error) => sum + error * error, 0)
  if (dead.length === 0 || !(total > 0)) return 0
  const data = new Map(parameters.map((parameter) => [parameter.name, parameter.data]))
  const decoder = data.get('W_dec') ?? new Float32Array()
  const encoder = data.get('W_enc') ?? new Float32Array()
  const { dIn, dOut, dSae } = config
  const bias = data.get('b_dec') ?? new Float32Array()
  const readLength = 0.2 * meanLength(encoder, dSae, dIn, new Set(dead))
  const targets = batch.y ?? batch.x
  for (const feature of dead) {
    const row = drawn(rowErrors, total, random)
    const target = targets.slice(row * dOut, (row + 1) * dOut).map((value, i) => value - bias[i])
    normaliseRows(target, dOut, hasUnitDecoder(config) ? 1 : 0.1)
    decoder.set(target, feature * dOut)
    const source = batch.x.slice(row * dIn, (row + 1) * dIn)
    if (config.subtractDecoderBias) source.forEach((value, i) => (source[i] = value - bias[i]))
    normaliseRows(source, dIn, readLength)
    source.forEach((value, i) => (encoder[i * dSae + feature] = value))
    optimiser.forget('W_dec', feature * dOut, (feature + 1) * dOut)
    optimiser.forget('W_enc', feature, encoder.length, dSae)
    for (const name of ['b_enc', 'b_gate', 'b_mag', 'r_mag']) {
      data.get(name)?.fill(0, feature, feature + 1)
      optimiser.forget(name, feature, feature + 1)
    }
  }
  return dead.length
}

function drawn(errors: Float32Array, total: number, random: SeededRandom): number {
  let left = random.float() * total
  for (let row = 0; row < errors.length; row++) {
    left -= errors[row] * errors[row]
    if (left < 0) return row
  }
  return errors.length - 1
}

/** Mean length of the encoder's columns [d_in, d_sae] that are alive; 1 where none is. */
function meanLength(encoder: Float32Array, dSae: number, dIn: number, dead: ReadonlySet<number>): number {
  let sum = 0
  let alive = 0
  const column = new Float32Array(dIn)
  for (let feature = 0; feature < dSae; feature++) {
    if (dead.has(feature)) continue
    for (let i = 0; i < dIn; i++) column[i] = encoder[i * dSae + feature]
    sum += rowNorm(column, 0, dIn)
    alive++
  }
  return alive === 0 ? 1 : sum / alive
}
