/** Rows that are too long lose tokens of their text; what the tokenizer or the template put around it stays. */
import type { DatasetSpec } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import type { EncodedToken } from '../../../preload/prompt'
import type { Positions } from './span'

export interface Truncated {
  readonly tokens: EncodedToken[]
  readonly span: Positions | null
  /** Tokens that were cut off. */
  readonly truncated: number
}

/**
 * @throws PatchbayError `prompt.too-long` where rows are not to be cut, or the text can not give that many tokens;
 * `input.invalid` where the span would be cut
 */
export function truncate(
  tokens: readonly EncodedToken[],
  span: Positions | null,
  most: number,
  side: DatasetSpec['truncate'],
): Truncated {
  const excess = tokens.length - most
  if (excess <= 0) return { tokens: [...tokens], span, truncated: 0 }
  const text = tokens.flatMap(({ origin }, position) => (origin === 'text' ? [position] : []))
  // Something of the text has to be left.
  if (side === 'refuse' || excess >= text.length)
    throw new PatchbayError(
      'prompt.too-long',
      `The row has ${tokens.length} tokens, where ${most} are allowed.`,
      {
        field: 'maxTokens',
        next: side === 'refuse' ? 'Allow more tokens, or let rows be cut.' : 'Allow more tokens.',
      },
    )
  const cut = new Set(side === 'right' ? text.slice(-excess) : text.slice(0, excess))
  return {
    tokens: tokens.filter((_, position) => !cut.has(position)),
    span: span === null ? null : moved(span, cut),
    truncated: excess,
  }
}

function moved([from, to]: Positions, cut: ReadonlySet<number>): Positions {
  let before = 0
  for (const position of cut)
    if (position < from) before++
    else if (position < to)
      throw new PatchbayError('input.invalid', 'The span was cut off, because the row is too long.', {
        field: 'span',
        next: 'Allow more tokens, or cut at the other side.',
      })
  return [from - before, to - before]
}
