/** From a range of the text to the positions of the tokens that hold it. */
import { PatchbayError } from '../../../preload/errors'
import type { EncodedPrompt, EncodedToken, PromptSpec } from '../../../preload/prompt'
import { quoted } from '../../models/formats/malformed'
import type { Range } from './marks'
import type { MarkedRange } from './row-prompt'

/** Positions [from, to) of a row's tokens. */
export type Positions = [from: number, to: number]

type Encoded = Pick<EncodedPrompt, 'tokens' | 'rendered'>

/**
 * Positions of the first or last place where `value` stands in what the row wrote (not in what a chat template did).
 * @throws PatchbayError `input.invalid` where it stands nowhere
 */
export function positionsOfValue(encoded: Encoded, value: string, occurrence: 'first' | 'last'): Positions {
  for (const from of value === '' ? [] : placesOf(encoded.rendered, value, occurrence)) {
    const found = positionsOf(encoded.tokens, { from, to: from + value.length })
    if (found !== null && encoded.tokens.slice(...found).every(({ origin }) => origin === 'text'))
      return found
  }
  throw new PatchbayError('input.invalid', `The span ${quoted(value)} does not stand in the row’s prompt.`, {
    field: 'span',
    next: 'Choose a column whose value is a part of the prompt.',
  })
}

/**
 * Positions of what was marked.
 * @throws PatchbayError `input.invalid` where the chat template changed the message, or no token is there
 */
export function positionsOfMarked(encoded: Encoded, prompt: PromptSpec, marked: MarkedRange): Positions {
  const begin =
    prompt.kind === 'text' || marked.message === null
      ? 0
      : beginOfMessage(
          encoded,
          prompt.messages.map(({ content }) => content),
          marked.message,
        )
  const found = positionsOf(encoded.tokens, { from: begin + marked.from, to: begin + marked.to })
  if (found !== null) return found
  throw new PatchbayError('input.invalid', 'No token stands between the marks.', {
    field: 'span',
    next: 'Put the marks around some text.',
  })
}

/** Where the text of a message begins in the rendered chat: the messages before it are passed one after the other. */
function beginOfMessage(encoded: Encoded, contents: readonly string[], message: number): number {
  let at = 0
  for (const [i, content] of contents.slice(0, message + 1).entries()) {
    const begin = placeOfContent(encoded, content, at)
    if (begin === null && i < message) continue // a template may leave messages out
    if (begin === null) break
    if (i === message) return begin
    at = begin + content.length
  }
  throw new PatchbayError('input.invalid', 'The chat template changes the message that is marked.', {
    field: 'span',
    next: 'Take white space off its ends, or use a prompt without a chat template.',
  })
}

function placeOfContent({ rendered, tokens }: Encoded, content: string, from: number): number | null {
  for (let at = rendered.indexOf(content, from); at >= 0; at = rendered.indexOf(content, at + 1)) {
    const found = positionsOf(tokens, { from: at, to: at + content.length })
    if (content === '' || (found !== null && tokens.slice(...found).every(({ origin }) => origin === 'text')))
      return at
  }
  return null
}

function* placesOf(text: string, value: string, occurrence: 'first' | 'last'): Generator<number> {
  if (occurrence === 'first')
    for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1)) yield at
  else
    for (let at = text.lastIndexOf(value); at >= 0; at = at === 0 ? -1 : text.lastIndexOf(value, at - 1))
      yield at
}

/** The positions of the tokens that hold a part of the range; null where none does. */
function positionsOf(tokens: readonly EncodedToken[], { from, to }: Range): Positions | null {
  const holds = ({ start, end }: EncodedToken): boolean =>
    start !== null && end !== null && start < to && end > from
  const first = tokens.findIndex(holds)
  return first < 0 ? null : [first, tokens.findLastIndex(holds) + 1]
}
