/** Learning rates by step. */
import { z } from 'zod'

/** Warm-up, then one half of a cosine down to a floor (Loshchilov and Hutter, arXiv:1608.03983), or a constant rate. */
export const schedule = z.object({
  peak: z.number().positive(),
  warmUp: z.number().int().nonnegative().default(0),
  /** Fraction of the peak at the end; 1 is a constant rate. */
  floor: z.number().min(0).max(1).default(0),
})
export type Schedule = z.infer<typeof schedule>

/**
 * The rate of step s of n, counted from 0: peak · min(1, (s + 1) / warmUp) · (floor + (1 − floor) · ½ (1 + cos(π s / n))).
 * Warm-up multiplies the cosine, as in the script that trained storyworld first.
 */
export function rateAt({ peak, warmUp, floor }: Schedule, step: number, steps: number): number {
  const warm = warmUp === 0 ? 1 : Math.min(1, (step + 1) / warmUp)
  return peak * warm * (floor + (1 - floor) * 0.5 * (1 + Math.cos((Math.PI * step) / steps)))
}
