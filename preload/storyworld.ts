/**
 * How storyworld is trained (the job kind `train.storyworld`): the settings that made the embedded model, each open to change.
 */
import { z } from 'zod'

const count = z.number().int().positive()

export const storyworldSettings = z.object({
  steps: count.default(4000),
  /** Rows of tokens in a batch, and predicted tokens in a row. */
  rows: count.max(4096).default(48),
  columns: count.max(512).default(128),
  accumulate: count.max(1024).default(1),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(1),
  /** Peak learning rate. */
  rate: z.number().positive().max(1).default(2e-3),
  warmUp: z.number().int().nonnegative().default(200),
  /** The last rate, as a fraction of the peak. */
  floor: z.number().min(0).max(1).default(0.05),
  clip: z.number().positive().nullable().default(1),
  weightDecay: z.number().min(0).max(1).default(0.01),
  checkpointEvery: count.default(100),
  evaluateEvery: count.nullable().default(500),
  /** Questions of each family in an evaluation. */
  questions: count.max(10_000).default(300),
})
export type StoryworldSettings = z.infer<typeof storyworldSettings>
