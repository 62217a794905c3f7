/** The patterns of a plan's rules for positions, by their text. */
import { TokenPattern } from '../collections/positions'
import type { Patterns } from './entries'
import type { ExtractionPlan } from './plan'

/** @throws PatchbayError `input.invalid` for what is no regular expression */
export function patternsOf(plan: ExtractionPlan): Patterns {
  const patterns = new Map<string, TokenPattern>()
  for (const { positions } of plan.outputs)
    if (positions.kind === 'matching' && !patterns.has(positions.pattern))
      patterns.set(positions.pattern, new TokenPattern(positions.pattern))
  return patterns
}
