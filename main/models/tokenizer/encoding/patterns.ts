/**
 * The regular expressions of tokenizer files (Oniguruma's dialect) as JavaScript's. The translation is the
 * library's; it is not exported there, so it is reached through the one component that shows its compiled pattern.
 */
import { SplitPreTokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { longestPattern } from '../limits'
import { malformedField } from '../sources/complaints'

/** `{String: …}` is matched literally, `{Regex: …}` as a pattern. */
export const patternSchema = z.union([
  z.object({ Regex: z.string().max(longestPattern) }),
  z.object({ String: z.string().max(longestPattern) }),
])
export type Pattern = z.infer<typeof patternSchema>

/** @returns a global, Unicode-aware expression; @throws `file.malformed` naming the field */
export function compilePattern(pattern: Pattern, field: string): RegExp {
  if ('String' in pattern)
    return new RegExp(pattern.String.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&').replace(/\\-/g, '[-]'), 'gu')
  try {
    const split = new SplitPreTokenizer({ type: 'Split', pattern, behavior: 'Isolated', invert: false })
    if (split.pattern !== null) return split.pattern
  } catch (cause) {
    throw malformedField(field, 'holds a regular expression that can not be compiled', cause)
  }
  throw malformedField(field, 'holds no pattern')
}

/** Unicode's White_Space, which `\s` is in tokenizer files; JavaScript's `\s` has U+FEFF more and U+0085 less. */
export const whiteSpace = '\\p{White_Space}'
