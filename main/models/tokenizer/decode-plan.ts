/**
 * The decoder of a tokenizer.json as steps on single tokens, so that a stream of ids can be decoded as it comes. What
 * can not be done token by token (patterns, stripping at the end of the text) is refused by name.
 */
import { z } from 'zod'
import { readComponent, unsupported } from './sources/complaints'

export type DecodeStep =
  /** pieces are written in GPT-2's byte alphabet */
  | { kind: 'byte-level' }
  /** "<0xE2>" stands for a byte */
  | { kind: 'byte-fallback' }
  | { kind: 'replace'; from: string; to: string }
  | { kind: 'strip'; character: string; start: number; stop: number }
  /** "##ing" continues a word, anything else begins one */
  | { kind: 'wordpiece'; prefix: string; cleanup: boolean }

export interface DecodePlan {
  steps: DecodeStep[]
  /** taken from the beginning of the whole text, at most `count` times */
  stripStart: { character: string; count: number } | null
  /** taken out of the first token's piece, wherever it stands in it (Metaspace) */
  dropInFirst: string | null
}

const pattern = z.union([z.object({ String: z.string().min(1) }), z.object({ Regex: z.string() })])

const schemas = {
  Sequence: z.object({ decoders: z.array(z.unknown()).max(64) }),
  ByteLevel: z.object({}),
  ByteFallback: z.object({}),
  Fuse: z.object({}),
  Replace: z.object({ pattern, content: z.string().max(1024) }),
  Strip: z.object({
    content: z.string().length(1),
    start: z.number().int().min(0).max(1024),
    stop: z.number().int().min(0).max(1024),
  }),
  Metaspace: z.object({
    replacement: z.string().min(1).max(8).default('▁'),
    prepend_scheme: z.enum(['always', 'first', 'never']).optional(),
    add_prefix_space: z.boolean().optional(),
  }),
  WordPiece: z.object({ prefix: z.string().default('##'), cleanup: z.boolean().default(true) }),
}

/** @throws `file.malformed` naming the field, `tokenizer.unsupported` naming the type */
export function planDecoder(config: unknown): DecodePlan {
  const plan: DecodePlan = { steps: [], stripStart: null, dropInFirst: null }
  if (config === null || config === undefined) {
    // Without a decoder, tokens are joined by spaces.
    plan.steps.push({ kind: 'wordpiece', prefix: '', cleanup: false })
    plan.stripStart = { character: ' ', count: 1 }
    return plan
  }
  let fused = false
  const add = (component: unknown, field: string): void => {
    const decoder = readComponent(schemas, component, field)
    switch (decoder.type) {
      case 'Sequence':
        decoder.decoders.forEach((each, index) => add(each, `${field}.decoders.${index}`))
        return
      case 'ByteLevel':
        plan.steps.push({ kind: 'byte-level' })
        fused = true
        return
      case 'ByteFallback':
        plan.steps.push({ kind: 'byte-fallback' })
        return
      case 'Fuse':
        fused = true
        return
      case 'Replace':
        if ('Regex' in decoder.pattern) throw unsupported('a regular expression in its decoder', field)
        plan.steps.push({ kind: 'replace', from: decoder.pattern.String, to: decoder.content })
        return
      case 'Strip':
        if (!fused)
          plan.steps.push({
            kind: 'strip',
            character: decoder.content,
            start: decoder.start,
            stop: decoder.stop,
          })
        else if (decoder.stop > 0) throw unsupported('a decoder that strips the end of the text', field)
        else plan.stripStart = { character: decoder.content, count: decoder.start }
        return
      case 'Metaspace': {
        plan.steps.push({ kind: 'replace', from: decoder.replacement, to: ' ' })
        const scheme = decoder.prepend_scheme ?? (decoder.add_prefix_space === false ? 'never' : 'always')
        if (scheme !== 'never') plan.dropInFirst = decoder.replacement
        return
      }
      case 'WordPiece':
        plan.steps.push({ kind: 'wordpiece', prefix: decoder.prefix, cleanup: decoder.cleanup })
        plan.stripStart = { character: ' ', count: 1 }
        return
    }
  }
  add(config, 'decoder')
  return plan
}
