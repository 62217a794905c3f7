/**
 * Stands in for a tokenizer where a model folder has none: a text is a list of token ids in decimal, and a token is
 * shown by its number. Models made for tests are like that.
 */
import { createHash } from 'node:crypto'
import { PatchbayError } from '../../../preload/errors'
import { noTokenizer } from '../../../preload/model'
import type { EncodedPrompt, TokenInfo } from '../../../preload/prompt'
import { checkedIds, checkedText } from './input'
import type { StreamDecoder, Tokenizer } from './types'

/** @param vocabSize rows of the model's embedding: ids are 0 to vocabSize − 1 */
export function tokenizerFromIds(vocabSize: number): Tokenizer {
  const infoOf = (id: number): TokenInfo => ({ id, piece: `#${id}`, text: `${id}`, special: false })

  const parse = (text: string): { id: number; start: number; end: number }[] =>
    [...checkedText(text, 'the text').matchAll(/[^\s,]+/g)].map((match) => {
      const id = /^\d{1,9}$/.test(match[0]) ? Number(match[0]) : NaN
      if (!(id < vocabSize))
        throw new PatchbayError(
          'input.invalid',
          `Word ${match.index + 1} of the prompt is not a token id of this model.`,
          {
            offset: match.index,
            next: `This model has no tokenizer: write ids from 0 to ${vocabSize - 1}, with spaces between them.`,
          },
        )
      return { id, start: match.index, end: match.index + match[0].length }
    })

  const stream = (): StreamDecoder => {
    let first = true
    return {
      push: (id) => {
        const text = first ? `${id}` : ` ${id}`
        first = false
        return text
      },
      finish: () => '',
    }
  }

  return {
    vocabSize,
    bosId: null,
    eosIds: [],
    hasChatTemplate: false,
    tokenizerHash: createHash('sha256')
      .update(`token ids 0 to ${vocabSize - 1}`)
      .digest('hex'),
    templateHash: null,
    bosPolicy: { addBos: false, source: 'this model has no tokenizer' },
    warnings: [noTokenizer],
    encode: async (text) => parse(text).map(({ id }) => id),
    encodePrompt: async (spec): Promise<EncodedPrompt> => {
      if (spec.kind === 'chat')
        throw new PatchbayError('template.failed', 'This model has no tokenizer, and so no chat template.', {
          next: 'Write the prompt as token ids.',
        })
      const tokens = parse(spec.text).map(({ id, start, end }) => ({
        ...infoOf(id),
        origin: 'text' as const,
        start,
        end,
      }))
      if (tokens.length === 0)
        throw new PatchbayError('prompt.empty', 'The prompt is empty.', { next: 'Write some token ids.' })
      return { tokens, rendered: spec.text, notes: [noTokenizer] }
    },
    decode: async (ids) => checkedIds(ids).join(' '),
    decodeStream: stream,
    tokens: (ids) => checkedIds(ids).map(infoOf),
    close: async () => undefined,
  }
}
