/** A tokenizer for tests about words: one token a word with the space before it, and where it lies in the text. */
import type { EncodedToken } from '../../../preload/prompt'
import type { Answers } from './synthetic-engine'
import { syntheticIds, syntheticToken } from './synthetic-model'

/** `pieces` are words that take two tokens: their first letters, and the rest. */
export function wordTokens(text: string, pieces: readonly string[] = []): EncodedToken[] {
  const token = (part: string, start: number): EncodedToken => {
    const [, id] = syntheticIds(part.trim())
    return {
      ...syntheticToken(id),
      text: part,
      piece: part,
      origin: 'text',
      start,
      end: start + part.length,
    }
  }
  return [
    { ...syntheticToken(0), origin: 'bos', start: null, end: null },
    ...Array.from(text.matchAll(/\s?[^\s,.!?]+|\s?[,.!?]/g)).flatMap(({ 0: word, index }) =>
      pieces.includes(word.trim())
        ? [token(word.slice(0, 3), index), token(word.slice(3), index + 3)]
        : [token(word, index)],
    ),
  ]
}

export const encodeByWords: NonNullable<Answers['prompt.encode']> = ({ prompt }) => {
  const text = prompt.kind === 'text' ? prompt.text : prompt.messages.map(({ content }) => content).join('\n')
  return { tokens: wordTokens(text), rendered: text, notes: [] }
}
