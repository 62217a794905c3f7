/**
 * Answers differ from pair to pair, and where they are words of the prompt they differ as the prompts do: the token that
 * plays in another pair the part that a chosen one plays in its own.
 */
import type { EncodedToken, TokenInfo } from '../../preload/prompt'
import { align } from '../../preload/align'

export interface EncodedPair {
  clean: readonly EncodedToken[]
  corrupt: readonly EncodedToken[]
}

const idsOf = (tokens: readonly EncodedToken[]): number[] => tokens.map(({ id }) => id)
const wordOf = ({ text }: Pick<TokenInfo, 'text'>): string => text.trim()
const spaced = ({ text }: Pick<TokenInfo, 'text'>): boolean => /^\s/.test(text)

/** For each position of one prompt that of another: the same where both are equally long, else by edit distance. */
export function partnersOf(
  from: readonly EncodedToken[],
  to: readonly EncodedToken[],
): readonly (number | null)[] {
  if (from.length === to.length) return from.map((_, position) => position)
  const partners = from.map((): number | null => null)
  for (const { left, right } of align(idsOf(from), idsOf(to))) if (left !== null) partners[left] = right
  return partners
}

/** A place in a pair, and whether the two prompts differ there. */
interface Place {
  side: 'clean' | 'corrupt'
  position: number
  differs: boolean
}

/** Where the prompts differ first: there a word's part is plain, "the one that only the corrupt prompt has". */
function placesOf(pair: EncodedPair): Place[] {
  const of = (side: Place['side'], other: readonly EncodedToken[]): Place[] => {
    const partners = partnersOf(pair[side], other)
    return pair[side].map(({ id }, position) => {
      const partner = partners[position]
      return { side, position, differs: partner === null || other[partner].id !== id }
    })
  }
  const all = [...of('corrupt', pair.clean), ...of('clean', pair.corrupt)]
  return [...all.filter(({ differs }) => differs), ...all.filter(({ differs }) => !differs)]
}

/**
 * @param token chosen for the pair `from`
 * @param more tokens of `to` in which the word may be found spelled as the chosen one is, with a space or without
 * @returns null where the token is no word of the prompts, or no such word is found
 */
export function mirrored(
  token: Pick<TokenInfo, 'text'>,
  from: EncodedPair,
  to: EncodedPair,
  more: readonly TokenInfo[] = [],
): TokenInfo | null {
  const word = wordOf(token)
  if (word === '') return null
  const spelled = [...to.clean, ...to.corrupt, ...more]
  const partners = {
    clean: partnersOf(from.clean, to.clean),
    corrupt: partnersOf(from.corrupt, to.corrupt),
  }
  for (const { side, position } of placesOf(from)) {
    const candidate = from[side][position]
    if (candidate.special || wordOf(candidate) !== word) continue
    const partner = partners[side][position]
    if (partner === null) continue
    const found = to[side][partner]
    const same = spelled.find((one) => wordOf(one) === wordOf(found) && spaced(one) === spaced(token))
    if (same !== undefined) return same
  }
  return null
}

/** Positions of another prompt that correspond to given ones. */
export const mirroredPositions = (
  positions: readonly number[],
  from: readonly EncodedToken[],
  to: readonly EncodedToken[],
): number[] => {
  const partners = partnersOf(from, to)
  return positions.flatMap((position) => {
    const partner = partners.at(position) ?? null
    return partner === null ? [] : [partner]
  })
}
