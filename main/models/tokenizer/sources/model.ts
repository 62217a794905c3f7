/** The `model` and `added_tokens` of a tokenizer.json, validated. */
import { z } from 'zod'
import { quoted } from '../../formats/malformed'
import type { AddedToken, ModelDefinition } from '../definition'
import { checked, malformedField, unsupported } from './complaints'
import { checkIds, highestId, readMerges, readVocab } from './vocabulary'

const flag = z
  .boolean()
  .nullish()
  .transform((given) => given ?? false)
const affix = z
  .string()
  .max(64)
  .nullish()
  .transform((given) => given ?? '')

const anything = z.unknown().optional()
const kind = z.looseObject({ type: z.string().optional(), vocab: anything, merges: anything })
const bpe = z.object({
  unk_token: z.string().nullish(),
  fuse_unk: flag,
  byte_fallback: flag,
  ignore_merges: flag,
  continuing_subword_prefix: affix,
  end_of_word_suffix: affix,
})
const wordPiece = z.object({
  unk_token: z.string(),
  continuing_subword_prefix: z.string().max(64).default('##'),
  max_input_chars_per_word: z.number().int().min(1).max(1_000_000).default(100),
})
const unigram = z.object({ unk_id: z.number().int().min(0), byte_fallback: flag })

/** @throws `file.malformed` naming the field, `tokenizer.unsupported` naming the model type */
export function readModel(value: unknown): ModelDefinition {
  const { type, vocab, merges } = checked(kind, value, 'model')
  // Files written before the type was: merges mean BPE, a list of scored pieces Unigram.
  switch (type ?? (merges !== undefined ? 'BPE' : Array.isArray(vocab) ? 'Unigram' : 'WordPiece')) {
    case 'BPE': {
      const fields = checked(bpe, value, 'model')
      const ids = readVocab(vocab, 'model.vocab')
      const continuingPrefix = fields.continuing_subword_prefix
      const unknown = fields.unk_token ?? null
      if (unknown !== null && !ids.has(unknown))
        throw malformedField('model.unk_token', `is ${quoted(unknown)}, which is not in the vocabulary`)
      return {
        kind: 'bpe',
        vocab: ids,
        merges: readMerges(merges, ids, continuingPrefix, 'model.merges'),
        unknown,
        fuseUnknown: fields.fuse_unk,
        byteFallback: fields.byte_fallback,
        ignoreMerges: fields.ignore_merges,
        continuingPrefix,
        endSuffix: fields.end_of_word_suffix,
      }
    }
    case 'WordPiece': {
      const fields = checked(wordPiece, value, 'model')
      return {
        kind: 'wordpiece',
        vocab: readVocab(vocab, 'model.vocab'),
        unknown: fields.unk_token,
        continuingPrefix: fields.continuing_subword_prefix,
        longestWord: fields.max_input_chars_per_word,
      }
    }
    case 'Unigram': {
      const fields = checked(unigram, value, 'model')
      if (fields.byte_fallback) throw unsupported('a Unigram model with byte fallback', 'model.byte_fallback')
      const pieces = readScored(vocab)
      checkIds([fields.unk_id], pieces.length - 1, 'model.unk_id')
      return { kind: 'unigram', pieces, unknownId: fields.unk_id }
    }
    default:
      throw unsupported(`the model type ${quoted(String(type))}`, 'model.type')
  }
}

function readScored(value: unknown): [string, number][] {
  if (!Array.isArray(value) || value.length === 0)
    throw malformedField('model.vocab', 'should be a list of pieces and their scores')
  const seen = new Set<string>()
  return value.map((entry: unknown, id) => {
    const [piece, score] = Array.isArray(entry) ? (entry as unknown[]) : []
    if (typeof piece !== 'string' || typeof score !== 'number' || !Number.isFinite(score))
      throw malformedField('model.vocab', `number ${id} is not a piece and its score`)
    if (seen.has(piece)) throw malformedField('model.vocab', `names ${quoted(piece)} twice`)
    seen.add(piece)
    return [piece, score]
  })
}

const addedTokens = z
  .array(
    z.object({
      id: z.number().int().min(0),
      content: z.string().min(1),
      single_word: flag,
      lstrip: flag,
      rstrip: flag,
      normalized: z.boolean().nullish(),
      special: flag,
    }),
  )
  .nullish()

/** @throws `file.malformed` naming the field, also for ids outside and for an id or a content given twice */
export function readAddedTokens(value: unknown, model: ModelDefinition): AddedToken[] {
  const entries = checked(addedTokens, value, 'added_tokens') ?? []
  const size = (model.kind === 'unigram' ? model.pieces.length : model.vocab.size) + entries.length
  checkIds(
    entries.map((entry) => entry.id),
    highestId(size),
    'added_tokens',
  )
  const pieceOf = new Map<number, string>()
  if (model.kind === 'unigram') model.pieces.forEach(([piece], id) => pieceOf.set(id, piece))
  else for (const [piece, id] of model.vocab) pieceOf.set(id, piece)
  const contents = new Set<string>()
  return entries.map((entry, index) => {
    const owner = pieceOf.get(entry.id)
    if (owner !== undefined && owner !== entry.content)
      throw malformedField(
        `added_tokens.${index}`,
        `gives ${quoted(entry.content)} the id ${entry.id}, which is that of ${quoted(owner)}`,
      )
    if (contents.has(entry.content))
      throw malformedField(`added_tokens.${index}`, `names ${quoted(entry.content)} a second time`)
    pieceOf.set(entry.id, entry.content)
    contents.add(entry.content)
    return {
      id: entry.id,
      content: entry.content,
      singleWord: entry.single_word,
      lstrip: entry.lstrip,
      rstrip: entry.rstrip,
      normalized: entry.normalized ?? !entry.special,
      special: entry.special,
    }
  })
}
