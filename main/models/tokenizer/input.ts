/** What callers give a tokenizer, checked before anything is made of it. */
import { PatchbayError } from '../../../preload/errors'
import { longestText } from './limits'

/**
 * @param what the text's name in a sentence
 * @throws PatchbayError `input.invalid` for a text too long, or with half a surrogate pair, which has no bytes to encode
 */
export function checkedText(text: string, what: string): string {
  if (text.length > longestText)
    throw new PatchbayError(
      'input.invalid',
      `There are ${text.length} characters in ${what}, more than ${longestText}.`,
      {
        next: 'Use a shorter text.',
      },
    )
  const half = text.search(/\p{Surrogate}/u)
  if (half >= 0)
    throw new PatchbayError(
      'input.invalid',
      `There is half a surrogate pair at character ${half} of ${what}.`,
      {
        offset: half,
        next: 'The text was cut inside an emoji or another rare character: remove the broken half.',
      },
    )
  return text
}

/** @throws PatchbayError `input.invalid` for anything that can not be a token id */
export function checkedIds(ids: readonly number[]): readonly number[] {
  const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0)
  if (wrong !== undefined)
    throw new PatchbayError('input.invalid', `${wrong} is not a token id.`, {
      next: 'Token ids are whole numbers from 0.',
    })
  return ids
}
