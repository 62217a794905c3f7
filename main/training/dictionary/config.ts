/**
 * What a dictionary is: a sparse autoencoder of one hook point, or a transcoder from one hook point to another. Its
 * weights have SAELens' names: W_enc [d_in, d_sae], W_dec [d_sae, d_out], b_dec [d_out]; b_enc [d_sae] except for gated;
 * gated: b_gate, b_mag, r_mag [d_sae]; jumprelu: threshold [d_sae]; with a skip connection: W_skip [d_out, d_in].
 */
import { z } from 'zod'
import type { Tensor } from '../../../preload/tensor'

export const activationKinds = ['standard', 'topk', 'jumprelu', 'gated'] as const

const size = z
  .number()
  .int()
  .positive()
  .max(2 ** 24)

export const dictionaryConfig = z.object({
  /**
   * From pre = x' W_enc + b_enc to features. standard: relu(pre). topk: the k largest, then relu. jumprelu:
   * relu(pre) where pre > threshold. gated: relu(x' (W_enc · exp(r_mag)) + b_mag) where x' W_enc + b_gate > 0.
   */
  activation: z.enum(activationKinds),
  dIn: size,
  dOut: size,
  dSae: size,
  /** x' = x − b_dec before it is encoded. Never in a transcoder. */
  subtractDecoderBias: z.boolean(),
  /**
   * What is done to x, and undone to the reconstruction. constant-norm: x √d_in / ‖x‖. layer-norm: (x − mean) / (std + 1e-5),
   * std with n − 1 in the denominator.
   */
  normalise: z.enum(['none', 'constant-norm', 'layer-norm']),
  /** Active features of topk. */
  k: size.nullable(),
  /** topk: pre is multiplied by the norms of W_dec's rows before selection, and divided by them when decoding. */
  rescaleByDecoderNorm: z.boolean(),
  transcoder: z.boolean(),
  /** out = … + W_skip x, on the raw x. */
  skip: z.boolean(),
  /** Where x is read, in TransformerLens' spelling; null where it is not known. */
  hook: z.string().nullable(),
  /** Where a transcoder's output belongs. */
  outputHook: z.string().nullable(),
  /** x is the heads' z [heads, d_head], joined. */
  joinsHeads: z.boolean(),
  modelName: z.string().nullable(),
  prependBos: z.boolean().nullable(),
})
export type DictionaryConfig = z.infer<typeof dictionaryConfig>

/** A dictionary's weights by name. */
export type DictionaryWeights = ReadonlyMap<string, Tensor>

/** Names and shapes of the weights that a configuration needs. */
export function weightShapes(config: DictionaryConfig): Map<string, number[]> {
  const { activation, dIn, dOut, dSae, skip } = config
  const shapes = new Map([
    ['W_enc', [dIn, dSae]],
    ['W_dec', [dSae, dOut]],
    ['b_dec', [dOut]],
  ])
  const perFeature = {
    standard: ['b_enc'],
    topk: ['b_enc'],
    jumprelu: ['b_enc', 'threshold'],
    gated: ['b_gate', 'b_mag', 'r_mag'],
  }[activation]
  for (const name of perFeature) shapes.set(name, [dSae])
  if (skip) shapes.set('W_skip', [dOut, dIn])
  return shapes
}
