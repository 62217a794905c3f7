/**
 * Corrupt prompts for a clean one: the same with one word changed, so that both have their tokens at the same positions.
 * Names first: where one occurs twice, its last occurrence becomes the other name ("Mary … John … John" → "Mary … John …
 * Mary", as in indirect object identification, Wang et al. 2022).
 */
import type { EncodedPrompt, EncodedToken, PromptSpec, TokenInfo } from '../../preload/prompt'

/** One token replaced by another text, both without the white space before them. */
export interface Edit {
  position: number
  from: string
  to: string
}

/** A word of letters, perhaps with a space before it. */
const wordLike = /^\s?\p{L}[\p{L}\p{M}'’]+$/u
const capitalised = /^\s?\p{Lu}/u
/** Shorter words are articles and the like, in whose place no other word says something else. */
const shortest = 3
const sentenceEnd = /[.!?…。！？:"\n]\s*$/u

const isWord = ({ special, text }: TokenInfo): boolean => !special && wordLike.test(text)
const ofText = (token: EncodedToken): boolean => token.origin === 'text' && isWord(token)
/** A token that another one continues is only the beginning of a word. */
const isWhole = (tokens: readonly EncodedToken[], i: number): boolean =>
  i + 1 >= tokens.length || !/^[\p{L}\p{M}\p{N}]/u.test(tokens[i + 1].text)
/** Whether the word may be written large only because a sentence begins. */
const begins = (tokens: readonly EncodedToken[], i: number): boolean =>
  i === 0 || tokens[i - 1].origin !== 'text' || sentenceEnd.test(tokens[i - 1].text)

/** Words of one token, by their place. */
const wordsOf = (tokens: readonly EncodedToken[]): { position: number; word: string; name: boolean }[] =>
  tokens.flatMap((token, position) =>
    ofText(token) && isWhole(tokens, position)
      ? [{ position, word: token.text.trim(), name: capitalised.test(token.text) }]
      : [],
  )

/** Names with their places: words written large inside of a sentence, or more than once. */
function namesOf(tokens: readonly EncodedToken[]): Map<string, number[]> {
  const places = new Map<string, number[]>()
  for (const { word, position, name } of wordsOf(tokens))
    if (name) places.set(word, [...(places.get(word) ?? []), position])
  for (const [word, at] of places) if (at.length === 1 && begins(tokens, at[0])) places.delete(word)
  return places
}

/** The last occurrence of a name that is repeated becomes another name of the prompt; the earliest one first. */
export function nameSwaps(tokens: readonly EncodedToken[]): Edit[] {
  const names = [...namesOf(tokens)].map(([word, at]) => ({ word, times: at.length, last: Math.max(...at) }))
  return names
    .filter(({ times }) => times > 1)
    .sort((a, b) => b.last - a.last)
    .flatMap(({ word: from, last: position }) =>
      names.filter(({ word }) => word !== from).map(({ word: to }) => ({ position, from, to })),
    )
}

/** Places where another word says something else: names, the last one first, then words, the longest first. */
export function openPositions(tokens: readonly EncodedToken[]): number[] {
  const names = namesOf(tokens)
  const words = wordsOf(tokens).filter(({ position }) => position > 0)
  return [
    ...words.filter(({ word }) => names.has(word)).reverse(),
    ...words
      .filter(({ word }) => !names.has(word) && word.length > shortest)
      .sort((a, b) => b.word.length - a.word.length || b.position - a.position),
  ].map(({ position }) => position)
}

/** Other words at a position, likeliest first, written like the one that is there: with a space or not, large or small. */
export function alternatives(
  tokens: readonly EncodedToken[],
  position: number,
  likely: readonly TokenInfo[],
): Edit[] {
  const { text } = tokens[position]
  const from = text.trim()
  const spaced = /^\s/.test(text)
  return likely
    .filter((token) => isWord(token) && /^\s/.test(token.text) === spaced)
    .filter((token) => capitalised.test(token.text) === capitalised.test(text))
    .map((token) => ({ position, from, to: token.text.trim() }))
    .filter(({ to }) => to.length >= shortest && to.toLocaleLowerCase() !== from.toLocaleLowerCase())
}

/** The prompt with an edit made; null where it is not known which letters the token stands for. */
export function editedPrompt(spec: PromptSpec, encoded: EncodedPrompt, edit: Edit): PromptSpec | null {
  const { start, end } = encoded.tokens[edit.position]
  if (start === null || end === null) return null
  const written = encoded.rendered.slice(start, end)
  const space = /^\s*/.exec(written)?.[0] ?? ''
  if (written.slice(space.length) !== edit.from) return null
  const replaced = (text: string, begin: number): string =>
    text.slice(0, start - begin) + space + edit.to + text.slice(end - begin)
  if (spec.kind === 'text') return { ...spec, text: replaced(encoded.rendered, 0) }
  let from = 0
  for (const [i, { content }] of spec.messages.entries()) {
    const begin = encoded.rendered.indexOf(content, from)
    if (begin === -1) return null
    from = begin + content.length
    if (start < begin || end > from) continue
    const messages = spec.messages.map((message, j) =>
      j === i ? { ...message, content: replaced(content, begin) } : message,
    )
    return { ...spec, messages }
  }
  return null
}

/** Whether both have the same tokens but for the one that was meant: each position has its partner. */
export const isSymmetric = (
  clean: readonly EncodedToken[],
  corrupt: readonly EncodedToken[],
  { position }: Edit,
): boolean =>
  clean.length === corrupt.length &&
  clean.every((token, i) => (token.id === corrupt[i].id) === (i !== position))
