/** How a dictionary is trained. Defaults are meant for activations whose mean norm is √d, which scaling sees to. */
import { z } from 'zod'
import { activationKinds } from './config'

const count = z.number().int().positive()
const fraction = z.number().min(0)

export const dictionarySettings = z.object({
  activation: z.enum(activationKinds),
  dSae: count.max(2 ** 24),
  /** topk: features that are active in each row. */
  k: count.default(32),
  /** λ: weight of the penalty on active features (standard, jumprelu, gated). */
  sparsity: fraction.default(1),
  /** Steps over which λ grows from zero. */
  sparsityWarmUp: z.number().int().nonnegative().default(0),
  /** jumprelu: threshold at the beginning, and width ε of the kernel by which it is trained. */
  threshold: z.number().positive().default(0.01),
  bandwidth: z.number().positive().default(0.05),
  /** topk: dead features that reconstruct what is missing, and the weight of that loss (AuxK). */
  auxK: z.number().int().nonnegative().default(256),
  auxWeight: fraction.default(1 / 32),
  /** A feature that was not active for this many rows is dead. */
  deadAfter: count.default(100_000),
  /** standard, gated: steps between resamplings of dead features; null for none. */
  resampleEvery: count.nullable().default(null),
  /** Scales activations to a mean norm of √d while training; the weights that are saved read them as they are. */
  scaleActivations: z.boolean().default(true),
  /** x is reconstructed through W_skip as well, without features; transcoders only. */
  skip: z.boolean().default(false),
  steps: count,
  /** Rows of a batch. */
  rows: count.default(4096),
  rate: z.number().positive().default(3e-4),
  warmUp: z.number().int().nonnegative().default(100),
  floor: z.number().min(0).max(1).default(0),
  beta1: z.number().min(0).lt(1).default(0.9),
  clip: z.number().positive().nullable().default(1),
  /** Rows of the shuffle buffer. */
  buffer: count.default(65_536),
  seed: z.number().int().nonnegative().default(0),
  checkpointEvery: count.default(1000),
})
export type DictionarySettings = z.infer<typeof dictionarySettings>
