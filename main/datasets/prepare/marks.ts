/** Marks around a part of a text, taken out of it. */
import { PatchbayError } from '../../../preload/errors'
import { quoted } from '../../models/formats/malformed'

/** UTF-16 units [from, to) of a text. */
export interface Range {
  readonly from: number
  readonly to: number
}

/**
 * @returns the text without marks, and the ranges in it that were marked
 * @throws PatchbayError `input.invalid` for a mark without its other one
 */
export function takeMarks(
  text: string,
  { open, close }: { open: string; close: string },
): { text: string; ranges: Range[] } {
  const ranges: Range[] = []
  let written = ''
  let at = 0
  for (;;) {
    const begin = text.indexOf(open, at)
    // With one sign for both, a close is the next open.
    const stray = open === close ? -1 : text.slice(at, begin < 0 ? text.length : begin).indexOf(close)
    if (stray >= 0) throw alone(close)
    if (begin < 0) return { text: written + text.slice(at), ranges }
    const end = text.indexOf(close, begin + open.length)
    if (end < 0) throw alone(open)
    written += text.slice(at, begin)
    const marked = text.slice(begin + open.length, end)
    ranges.push({ from: written.length, to: written.length + marked.length })
    written += marked
    at = end + close.length
  }
}

const alone = (mark: string): PatchbayError =>
  new PatchbayError('input.invalid', `The mark ${quoted(mark)} stands without its other one.`, {
    field: 'span',
    next: 'Mark the beginning and the end of the span.',
  })
