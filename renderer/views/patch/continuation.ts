/** The continuation of a patched prompt beside that of the prompt as it is, step by step. */
import type { CallOutput } from '../../../preload/api'
import type { TokenInfo } from '../../../preload/prompt'
import type { SteerStep } from '../../../preload/views'

/**
 * @param rows the patched run's tokens, then the base's; one may have ended before the other
 * @param described every token that occurs; one that is not described (yet) is left out
 */
export function continuationSteps(
  [patched, base]: CallOutput<'generate.execute'>['rows'],
  described: readonly TokenInfo[],
): SteerStep[] {
  const byId = new Map(described.map((token) => [token.id, token]))
  const at = (tokens: readonly number[], step: number): TokenInfo | null =>
    step < tokens.length ? (byId.get(tokens[step]) ?? null) : null
  return Array.from({ length: Math.max(patched.tokens.length, base.tokens.length) }, (_, step) => ({
    step,
    steered: at(patched.tokens, step),
    baseline: at(base.tokens, step),
    steeredLogProb: null,
    baselineLogProb: null,
    divergence: null,
  }))
}
