/**
 * Text → ids: added tokens out, then normalizer, pre-tokenizer and model on what lies between them. Hugging Face's
 * `tokenizers` is the measure; the library supplies the translation of patterns, WordPiece and Unigram.
 */
import { Unigram, WordPiece } from '@huggingface/tokenizers'
import { PatchbayError } from '../../../../preload/errors'
import { byteOfCharacter } from '../byte-level'
import type { Definition, ModelDefinition } from '../definition'
import { AddedTokenFinder } from './added-tokens'
import { Bpe } from './bpe'
import { createNormalizer } from './normalizer'
import { createPreTokenizer } from './pre-tokenizer'

type EncodeWord = (word: string) => readonly (number | undefined)[]

export interface Encoder {
  /** @throws `input.invalid` where the vocabulary has no token for a part of the text */
  encode(text: string): number[]
}

/** Longest word for the library's models, which keep several objects for each character. */
const longestLatticeWord = 262_144

/** @throws `file.malformed`, `tokenizer.unsupported` */
export function createEncoder(definition: Definition): Encoder {
  const normalize = createNormalizer(definition.normalizer)
  const preTokenize = createPreTokenizer(definition.preTokenizer)
  const encodeWord = createModel(definition.model)
  const verbatim = definition.addedTokens.filter((token) => !token.normalized)
  const normalized = definition.addedTokens.filter((token) => token.normalized)
  const inText = new AddedTokenFinder(verbatim.map((token) => [token.content, token]))
  const inNormalized = new AddedTokenFinder(normalized.map((token) => [normalize(token.content), token]))
  return {
    encode(text) {
      const ids: number[] = []
      inText.split(text).forEach((section, index) => {
        if (typeof section === 'number') return ids.push(section)
        inNormalized.split(normalize(section)).forEach((part, inner) => {
          if (typeof part === 'number') return ids.push(part)
          for (const word of preTokenize([part], index === 0 && inner === 0))
            for (const id of encodeWord(word)) {
              if (id === undefined) throw noToken()
              ids.push(id)
            }
        })
      })
      return ids
    },
  }
}

export const noToken = (): PatchbayError =>
  new PatchbayError('input.invalid', "The tokenizer's vocabulary has no token for a part of the text.", {
    next: 'Leave out characters that this model does not know.',
  })

function createModel(model: ModelDefinition): EncodeWord {
  if (model.kind === 'bpe') {
    const bpe = new Bpe(model)
    return (word) => bpe.encode(word)
  }
  if (model.kind === 'wordpiece') {
    const library = new WordPiece({
      type: 'WordPiece',
      vocab: Object.fromEntries(model.vocab),
      unk_token: model.unknown,
      continuing_subword_prefix: model.continuingPrefix,
      max_input_chars_per_word: model.longestWord,
    })
    return (word) => pieces(library, word).map((piece) => model.vocab.get(piece))
  }
  const ids = new Map(model.pieces.map(([piece], id) => [piece, id]))
  const library = new Unigram(
    { type: 'Unigram', vocab: model.pieces.map(([piece, score]) => [piece, score]), unk_id: model.unknownId },
    '',
  )
  return (word) => pieces(library, word).map((piece) => ids.get(piece) ?? model.unknownId)
}

function pieces(library: Unigram | WordPiece, word: string): string[] {
  if (word.length > longestLatticeWord)
    throw new PatchbayError(
      'input.invalid',
      `A word of ${word.length} characters is too long for this tokenizer.`,
      {
        next: `Keep words below ${longestLatticeWord} characters.`,
      },
    )
  return library([word])
}

/** Whether a text may hold characters for which the model has neither token nor fallback, and would drop them. */
export function mayDrop(definition: Definition): boolean {
  const { model } = definition
  if (model.kind !== 'bpe' || model.unknown !== null) return false
  const hexadecimal = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
  const bytes = Array.from({ length: 256 }, (_, byte) => byte)
  if (model.byteFallback && bytes.every((byte) => model.vocab.has(hexadecimal(byte)))) return false
  return ![...byteOfCharacter.keys()].every((character) => model.vocab.has(character))
}
