/**
 * Text from a model as it can be shown: what would be invisible, turn the line around or stick to its neighbours is
 * written out, and white space becomes visible where single tokens are shown. For screens and terminals only; the text
 * itself is never changed.
 */

const signs: Readonly<Record<string, string>> = { ' ': '·', '\n': '⏎', '\t': '⇥' }

/** Controls, formats (bidi, zero width), unassigned, lone surrogates; blanks other than the space; blank-looking letters. */
const unseen = /[\p{C}\p{Zl}\p{Zp}\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000\u115F\u1160\u3164\uFFA0]/u
const mark = /^\p{M}/u

export interface DisplayOptions {
  /** space "·", newline "⏎", tab "⇥" (and those signs themselves escaped); default true. Else spaces stay as they are. */
  spaces?: boolean
  /** code points after which it is cut with "…": a token may be a million characters long; default: not cut */
  longest?: number
}

/**
 * @param text a token's text or piece, a part of a prompt, model output
 * @returns one line; what has no look of its own is `\u{…}`; with `spaces`, a combining mark at the start stands on "◌"
 */
export function displayText(text: string, options: DisplayOptions = {}): string {
  const { spaces = true, longest = Infinity } = options
  const isSign = (character: string) => spaces && Object.values(signs).includes(character)
  let visible = spaces && mark.test(text) ? '◌' : ''
  let count = 0
  for (const character of text) {
    if (++count > longest) return `${visible}…`
    const sign = spaces ? signs[character] : undefined
    const hidden = isSign(character) || unseen.test(character)
    visible += sign ?? (hidden ? `\\u{${character.codePointAt(0)!.toString(16).toUpperCase()}}` : character)
  }
  return visible
}
