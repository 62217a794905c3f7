/**
 * From a text to the words that the model may not merge across (`pre_tokenizer` of a tokenizer.json). Built here and
 * not taken from the library, whose Digits, Punctuation, Whitespace and Split differ from the original outside ASCII
 * or for some of their settings.
 */
import { z } from 'zod'
import { toByteCharacters } from '../byte-level'
import { readComponent } from '../sources/complaints'
import { compilePattern, patternSchema, whiteSpace } from './patterns'
import { split, splitBehavior } from './split'

/** Words of `pieces`; `atStart`: the first piece begins the whole text. */
export type PreTokenizer = (pieces: readonly string[], atStart: boolean) => string[]

const flag = (fallback: boolean) =>
  z
    .boolean()
    .nullish()
    .transform((given) => given ?? fallback)

const schemas = {
  Sequence: z.object({ pretokenizers: z.array(z.unknown()).max(64) }),
  ByteLevel: z.object({ add_prefix_space: flag(true), use_regex: flag(true) }),
  Split: z.object({ pattern: patternSchema, behavior: splitBehavior, invert: flag(false) }),
  Digits: z.object({ individual_digits: flag(false) }),
  Punctuation: z.object({ behavior: splitBehavior.default('Isolated') }),
  Whitespace: z.object({}),
  WhitespaceSplit: z.object({}),
  BertPreTokenizer: z.object({}),
  CharDelimiterSplit: z.object({ delimiter: z.string().min(1) }),
  Metaspace: z.object({
    replacement: z.string().length(1).default('▁'),
    prepend_scheme: z.enum(['always', 'first', 'never']).optional(),
    add_prefix_space: z.boolean().optional(),
    split: flag(true),
  }),
}

/** GPT-2's words: contractions, letters, numbers, the rest, each with at most one space before it; white space. */
export const gpt2Words = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

const punctuation = '[\\p{P}$+<=>^`|~]'

const cut =
  (pattern: RegExp, behavior: z.infer<typeof splitBehavior>, invert = false): PreTokenizer =>
  (pieces) =>
    pieces.flatMap((piece) => split(piece, pattern, behavior, invert))

const chain =
  (stages: readonly PreTokenizer[]): PreTokenizer =>
  (pieces, atStart) =>
    stages.reduce((words, stage) => stage(words, atStart), [...pieces])

const regex = (source: string) => compilePattern({ Regex: source }, 'pre_tokenizer')

function byteLevel(addPrefixSpace: boolean, useRegex: boolean): PreTokenizer {
  const words = useRegex ? cut(regex(gpt2Words), 'Isolated') : null
  return (pieces, atStart) => {
    const spaced = addPrefixSpace
      ? pieces.map((piece) => (piece.startsWith(' ') ? piece : ` ${piece}`))
      : [...pieces]
    return (words === null ? spaced : words(spaced, atStart)).map(toByteCharacters)
  }
}

function metaspace(mark: string, scheme: 'always' | 'first' | 'never', splits: boolean): PreTokenizer {
  const words = cut(new RegExp(mark.replace(/[.*+?^${}()|[\]\\/]/, '\\$&'), 'gu'), 'MergedWithNext')
  return (pieces, atStart) => {
    const marked = pieces.map((piece, index) => {
      const text = piece.replaceAll(' ', () => mark)
      const prepend = scheme === 'always' || (scheme === 'first' && atStart && index === 0)
      return prepend && !text.startsWith(mark) ? mark + text : text
    })
    return splits ? words(marked, atStart) : marked
  }
}

/**
 * @param config the component as in tokenizer.json; null: the text is one word
 * @throws `file.malformed` naming the field, `tokenizer.unsupported` naming the type
 */
export function createPreTokenizer(config: unknown, field = 'pre_tokenizer'): PreTokenizer {
  if (config === null || config === undefined) return (pieces) => [...pieces]
  const component = readComponent(schemas, config, field)
  switch (component.type) {
    case 'Sequence':
      return chain(
        component.pretokenizers.map((each, index) =>
          createPreTokenizer(each, `${field}.pretokenizers.${index}`),
        ),
      )
    case 'ByteLevel':
      return byteLevel(component.add_prefix_space, component.use_regex)
    case 'Split':
      return cut(compilePattern(component.pattern, field), component.behavior, component.invert)
    case 'Digits':
      return cut(regex(component.individual_digits ? '\\p{N}' : '\\p{N}+'), 'Isolated')
    case 'Punctuation':
      return cut(regex(punctuation), component.behavior)
    case 'Whitespace':
      return cut(regex('\\w+|[^\\w\\s]+'), 'Removed', true)
    case 'WhitespaceSplit':
      return cut(new RegExp(whiteSpace, 'gu'), 'Removed')
    case 'BertPreTokenizer':
      return chain([cut(new RegExp(whiteSpace, 'gu'), 'Removed'), cut(regex(punctuation), 'Isolated')])
    case 'CharDelimiterSplit':
      return cut(compilePattern({ String: component.delimiter }, field), 'Removed')
    case 'Metaspace': {
      // Before prepend_scheme existed, add_prefix_space said always or never.
      const scheme = component.prepend_scheme ?? (component.add_prefix_space === false ? 'never' : 'always')
      return metaspace(component.replacement, scheme, component.split)
    }
  }
}
