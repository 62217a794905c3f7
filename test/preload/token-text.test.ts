import { expect, it } from 'vitest'
import { displayText } from '../../preload/token-text'

it.each([
  [' the', '·the'],
  ['\n\t ', '⏎⇥·'],
  ['a\u0000\u001b[31m\r', 'a\\u{0}\\u{1B}[31m\\u{D}'],
  ['\u202Eabc\u2066', '\\u{202E}abc\\u{2066}'],
  ['\u00A0\u3000\u200B\uFEFF', '\\u{A0}\\u{3000}\\u{200B}\\u{FEFF}'],
  ['\uD83D', '\\u{D83D}'],
  ['👍🏽', '👍🏽'],
  ['\u0301e', '◌\u0301e'],
  ['·⏎⇥', '\\u{B7}\\u{23CE}\\u{21E5}'],
  ['<img onerror=x>', '<img·onerror=x>'],
  ['', ''],
])('shows %j as %j', (text, shown) => {
  expect(displayText(text)).toBe(shown)
})

it('leaves spaces and the signs alone where white space is not to be shown', () => {
  expect(displayText('a · b\u001b\u0301', { spaces: false })).toBe('a · b\\u{1B}\u0301')
})

it('cuts after so many characters, never inside one', () => {
  expect(displayText('👍'.repeat(1_000_000), { longest: 2 })).toBe('👍👍…')
  expect(displayText('ab', { longest: 2 })).toBe('ab')
})
