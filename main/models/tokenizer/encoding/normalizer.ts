/**
 * What a tokenizer does to a text before it cuts it (`normalizer` of a tokenizer.json), step by step, so that the
 * length can be checked between steps: a few replacements in a hostile file multiply a text beyond any memory.
 */
import { BertNormalizer, PrecompiledNormalizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { PatchbayError } from '../../../../preload/errors'
import { toByteCharacters } from '../byte-level'
import { longestText } from '../limits'
import { readComponent } from '../sources/complaints'
import { compilePattern, patternSchema, whiteSpace } from './patterns'

export type Normalizer = (text: string) => string

const flag = z
  .boolean()
  .nullish()
  .transform((given) => given ?? false)

const schemas = {
  Sequence: z.object({ normalizers: z.array(z.unknown()).max(64) }),
  NFC: z.object({}),
  NFD: z.object({}),
  NFKC: z.object({}),
  NFKD: z.object({}),
  Lowercase: z.object({}),
  StripAccents: z.object({}),
  ByteLevel: z.object({}),
  Strip: z.object({ strip_left: flag, strip_right: flag }),
  Prepend: z.object({ prepend: z.string().max(1024) }),
  Replace: z.object({ pattern: patternSchema, content: z.string().max(1024) }),
  BertNormalizer: z.object({
    clean_text: flag,
    handle_chinese_chars: flag,
    lowercase: flag,
    strip_accents: z
      .boolean()
      .nullish()
      .transform((given) => given ?? undefined),
  }),
  Precompiled: z.object({ precompiled_charsmap: z.string().nullable() }),
}

function steps(config: unknown, field: string): Normalizer[] {
  const component = readComponent(schemas, config, field)
  switch (component.type) {
    case 'Sequence':
      return component.normalizers.flatMap((each, index) => steps(each, `${field}.normalizers.${index}`))
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = component.type
      return [(text) => text.normalize(form)]
    }
    case 'Lowercase':
      // Character by character: a sigma at the end of a word is no other letter here.
      return [(text) => text.replaceAll('Σ', 'σ').toLowerCase()]
    case 'StripAccents':
      return [(text) => text.replace(/\p{M}/gu, '')]
    case 'ByteLevel':
      return [toByteCharacters]
    case 'Strip': {
      const left = component.strip_left ? [new RegExp(`^${whiteSpace}+`, 'u')] : []
      const right = component.strip_right ? [new RegExp(`(?<!${whiteSpace})${whiteSpace}+$`, 'u')] : []
      return [...left, ...right].map((edge) => (text) => text.replace(edge, ''))
    }
    case 'Prepend':
      return [(text) => (text === '' ? text : component.prepend + text)]
    case 'Replace': {
      const pattern = compilePattern(component.pattern, field)
      // A function, because "$&" in a string would mean the match.
      return [(text) => text.replace(pattern, () => component.content)]
    }
    case 'BertNormalizer': {
      const bert = new BertNormalizer({ ...component })
      return [(text) => bert.normalize(text)]
    }
    case 'Precompiled': {
      // The library approximates the compiled character map by NFKC and a list of spaces and controls.
      const precompiled = new PrecompiledNormalizer({
        type: 'Precompiled',
        precompiled_charsmap: component.precompiled_charsmap ?? '',
      })
      return [(text) => precompiled.normalize(text)]
    }
  }
}

/**
 * @param config the component as in tokenizer.json; null: nothing is changed
 * @throws `file.malformed` naming the field, `tokenizer.unsupported` naming the type
 */
export function createNormalizer(config: unknown): Normalizer {
  if (config === null || config === undefined) return (text) => text
  const all = steps(config, 'normalizer')
  return (text) => {
    const longest = Math.max(longestText, 8 * text.length)
    return all.reduce((normalized, step) => {
      const next = step(normalized)
      if (next.length > longest)
        throw new PatchbayError(
          'input.invalid',
          `The tokenizer's own normalizer makes ${next.length} characters of ${text.length}.`,
          { next: 'This tokenizer is broken or hostile; do not use it.' },
        )
      return next
    }, text)
  }
}
