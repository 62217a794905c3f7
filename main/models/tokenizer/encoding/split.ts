/**
 * Cutting a text at the matches of a pattern, with the five things that may happen to a match
 * (Hugging Face tokenizers, `SplitDelimiterBehavior`). The library knows only two of them.
 */
import { z } from 'zod'

export const splitBehavior = z.enum([
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
])
export type SplitBehavior = z.infer<typeof splitBehavior>

interface Part {
  start: number
  end: number
  match: boolean
}

/** Matches and what lies between them, in order; with `invert` each is taken for the other. */
function parts(text: string, pattern: RegExp, invert: boolean): Part[] {
  const found: Part[] = []
  let at = 0
  for (const match of text.matchAll(pattern)) {
    if (match[0].length === 0) continue
    if (match.index > at) found.push({ start: at, end: match.index, match: invert })
    at = match.index + match[0].length
    found.push({ start: match.index, end: at, match: !invert })
  }
  if (at < text.length) found.push({ start: at, end: text.length, match: invert })
  return found
}

/** Joins neighbours for which `joins(left, right)` holds. */
function joined(found: readonly Part[], joins: (left: Part, right: Part) => boolean): Part[] {
  const merged: Part[] = []
  let previous: Part | null = null
  for (const part of found) {
    const last = merged.at(-1)
    if (last !== undefined && previous !== null && joins(previous, part)) last.end = part.end
    else merged.push({ ...part })
    previous = part
  }
  return merged
}

/** `text` cut by `pattern`; empty pieces are left out. */
export function split(text: string, pattern: RegExp, behavior: SplitBehavior, invert = false): string[] {
  const found = parts(text, pattern, invert)
  const slice = (part: Part) => text.slice(part.start, part.end)
  switch (behavior) {
    case 'Removed':
      return found.filter((part) => !part.match).map(slice)
    case 'Isolated':
      return found.map(slice)
    case 'MergedWithPrevious':
      return joined(found, (left, right) => right.match && !left.match).map(slice)
    case 'MergedWithNext':
      return joined(found, (left, right) => left.match && !right.match).map(slice)
    case 'Contiguous':
      return joined(found, (left, right) => left.match === right.match).map(slice)
  }
}
