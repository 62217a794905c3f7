/**
 * Finds the added tokens (special ones and others that stand outside the model's vocabulary) in a text: leftmost, and
 * the longest of those that begin there, with their say about neighbouring white space and word boundaries
 * (Hugging Face tokenizers, `AddedVocabulary`).
 */
import type { AddedToken } from '../definition'

interface Node {
  next: Map<number, Node>
  token: AddedToken | null
}

const node = (): Node => ({ next: new Map(), token: null })
const isWord = (character: string): boolean => /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u.test(character)
const isSpace = (character: string): boolean => /\p{White_Space}/u.test(character)

export class AddedTokenFinder {
  private readonly root = node()

  /** @param tokens tokens by the text that stands for them */
  constructor(tokens: readonly (readonly [text: string, token: AddedToken])[]) {
    for (const [text, token] of tokens) {
      let at = this.root
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i)
        let next = at.next.get(unit)
        if (next === undefined) at.next.set(unit, (next = node()))
        at = next
      }
      if (text !== '') at.token = token
    }
  }

  /** `text` as the ids of added tokens and the texts between them, in order. */
  split(text: string): (number | string)[] {
    if (this.root.next.size === 0) return text === '' ? [] : [text]
    const sections: (number | string)[] = []
    let done = 0
    for (let at = 0; at < text.length;) {
      const found = this.longestAt(text, at)
      if (found === null) {
        at++
        continue
      }
      const { token, end } = found
      if (token.singleWord && !standsAlone(text, at, end)) {
        at = end
        continue
      }
      const start = token.lstrip ? Math.max(done, spaceBefore(text, at)) : at
      const stop = token.rstrip ? spaceAfter(text, end) : end
      if (start > done) sections.push(text.slice(done, start))
      sections.push(token.id)
      done = stop
      at = stop
    }
    if (done < text.length) sections.push(text.slice(done))
    return sections
  }

  private longestAt(text: string, start: number): { token: AddedToken; end: number } | null {
    let at: Node | undefined = this.root
    let found: { token: AddedToken; end: number } | null = null
    for (let i = start; i < text.length; i++) {
      at = at.next.get(text.charCodeAt(i))
      if (at === undefined) break
      if (at.token !== null) found = { token: at.token, end: i + 1 }
    }
    return found
  }
}

function standsAlone(text: string, start: number, end: number): boolean {
  const before = start === 0 ? '' : String.fromCodePoint(text.codePointAt(previous(text, start))!)
  const after = end === text.length ? '' : String.fromCodePoint(text.codePointAt(end)!)
  return !isWord(before) && !isWord(after)
}

const previous = (text: string, at: number): number =>
  at >= 2 && text.codePointAt(at - 2)! > 0xffff ? at - 2 : at - 1

function spaceBefore(text: string, at: number): number {
  while (at > 0 && isSpace(text[at - 1])) at--
  return at
}

function spaceAfter(text: string, at: number): number {
  while (at < text.length && isSpace(text[at])) at++
  return at
}
