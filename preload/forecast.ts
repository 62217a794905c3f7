/** What a model will take of memory before it is loaded, and in which ways it can be opened on this machine. */
import { z } from 'zod'
import { precisions } from './run'

export const memoryForecast = z.object({
  precision: z.enum(precisions),
  /** Bytes of the engine process with every block compiled. */
  whole: z.number(),
  /** The least budget: bytes with only the largest part compiled at a time. */
  least: z.number(),
})
export type MemoryForecast = z.infer<typeof memoryForecast>

/** A way to open a model within the memory that there is. */
export const fittingChoice = z.object({
  precision: z.enum(precisions),
  /** Null where all of the model fits. */
  memoryBudget: z.number().int().positive().nullable(),
  /** Bytes that the engine process will take. */
  bytes: z.number(),
})
export type FittingChoice = z.infer<typeof fittingChoice>

export const modelForecast = z.object({
  /** In each precision that it can be opened in. */
  forecasts: z.array(memoryForecast),
  /** Bytes that the engine process may take now. */
  available: z.number(),
  /** Whether it fits as it was asked for. */
  fits: z.boolean(),
  /** Ways that fit, the best first. */
  choices: z.array(fittingChoice),
  /** What to do, in a sentence. */
  advice: z.string(),
})
export type ModelForecast = z.infer<typeof modelForecast>
