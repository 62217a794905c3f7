/** How a token is written wherever it is shown: by its text; one that is only a part of a character, by its piece. */
import type { TokenInfo } from '../../preload/prompt'
import { displayText } from '../../preload/token-text'

const longest = 40

const shown = ({ text, piece }: Pick<TokenInfo, 'piece' | 'text'>): string =>
  text === '' || text.includes('\uFFFD') ? piece : text

/** A token in full, with visible white space. */
export const tokenText = (token: Pick<TokenInfo, 'piece' | 'text'>): string =>
  displayText(shown(token)) || '∅'

/** A token short enough for a label. */
export const tokenLabel = (token: Pick<TokenInfo, 'piece' | 'text'>): string =>
  displayText(shown(token), { longest }) || '∅'
