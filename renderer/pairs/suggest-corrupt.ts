/** Finds a corrupt prompt for a clean one, and checks it with the model's own tokenizer. */
import type { EncodedPrompt, PromptSpec } from '../../preload/prompt'
import type { Caller } from '../client'
import { alternatives, editedPrompt, isSymmetric, nameSwaps, openPositions, type Edit } from './corrupt-edits'

export interface Suggestion {
  prompt: PromptSpec
  edit: Edit
}

/** So many places are asked for their likely words, and so many words tried at each. */
const mostPlaces = 4
const mostWords = 6

/**
 * @param spec the clean prompt, `encoded` as the model gets it
 * @returns the first edit after which the prompt has the same tokens but one; null where there is none
 * @throws PatchbayError what the engine throws, `run.cancelled`
 */
export async function suggestCorrupt(
  engine: Caller,
  model: string,
  spec: PromptSpec,
  encoded: EncodedPrompt,
  signal?: AbortSignal,
): Promise<Suggestion | null> {
  async function firstOf(edits: readonly Edit[]): Promise<Suggestion | null> {
    for (const edit of edits) {
      const prompt = editedPrompt(spec, encoded, edit)
      if (prompt === null) continue
      const { tokens } = await engine.call('prompt.encode', { model, prompt }, { signal })
      if (isSymmetric(encoded.tokens, tokens, edit)) return { prompt, edit }
    }
    return null
  }
  const swapped = await firstOf(nameSwaps(encoded.tokens).slice(0, mostWords))
  if (swapped !== null) return swapped
  const tokens = encoded.tokens.map(({ id }) => id)
  for (const position of openPositions(encoded.tokens).slice(0, mostPlaces)) {
    const { top } = await engine.call(
      'logits.next',
      { model, tokens, position: position - 1, count: 50 },
      { signal },
    )
    const found = await firstOf(alternatives(encoded.tokens, position, top).slice(0, mostWords))
    if (found !== null) return found
  }
  return null
}
