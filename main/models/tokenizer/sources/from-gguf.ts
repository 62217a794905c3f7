/** GGUF's tokenizer metadata → Definition: byte-level BPE by its pre-tokenizer type, and SentencePiece BPE. */
import { createHash } from 'node:crypto'
import { quoted } from '../../formats/malformed'
import type { AddedToken, BpeDefinition, Definition } from '../definition'
import { malformedField, unsupported } from './complaints'
import type { GgufFields } from './gguf-fields'
import { preTypeOf } from './pre-types'
import type { PreType } from './pre-types'
import { mergesFromScores } from './sentencepiece'
import { policyOf } from './special-tokens'
import { checkIds, readMerges } from './vocabulary'

const types = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const
const key = (name: string) => `tokenizer.ggml.${name}`
/** SentencePiece's mark for a space. */
const mark = '▁'

/** @throws `file.malformed` naming the key, `tokenizer.unsupported` naming the model or the pre-tokenizer type */
export function definitionFromGguf(fields: GgufFields): Definition {
  if (fields.model !== 'gpt2' && fields.model !== 'llama')
    throw unsupported(`the tokenizer model ${quoted(fields.model)}`, key('model'))
  const vocab = vocabOf(fields.tokens)
  const perToken: [string, readonly number[] | null][] = [
    ['token_type', fields.types],
    ['scores', fields.scores],
  ]
  for (const [name, values] of perToken)
    if (values !== null && values.length !== fields.tokens.length)
      throw malformedField(key(name), `has ${values.length} entries for ${fields.tokens.length} tokens`)
  const sentencePiece = fields.model === 'llama'
  // SentencePiece's own defaults, which old files leave out.
  const bosId = fields.bosId ?? (sentencePiece ? 1 : null)
  const eosIds = fields.eosIds.length === 0 && sentencePiece ? [2] : fields.eosIds
  const unknownId = fields.unknownId ?? (sentencePiece ? 0 : null)
  const ids = [bosId, unknownId, fields.padId, ...eosIds].filter((id) => id !== null)
  checkIds(ids, fields.tokens.length - 1, key('*_token_id'))

  const pre = sentencePiece ? null : preType(fields.pre)
  const parts = pre === null ? fromSentencePiece(fields, vocab, unknownId) : fromBytePairs(fields, vocab, pre)
  const addsByType = sentencePiece || pre?.addBos === true
  const named = {
    bos_token: bosId,
    eos_token: eosIds[0] ?? null,
    unk_token: unknownId,
    pad_token: fields.padId,
  }
  return {
    ...parts,
    bosId,
    eosIds,
    ...policyOf(
      { prefix: addsByType && bosId !== null ? [bosId] : [], suffix: [] },
      {
        bosId,
        eosId: eosIds[0] ?? null,
        addBos: fields.addBos ?? undefined,
        addEos: fields.addEos ?? undefined,
        saidBy: `${key('add_bos_token')} in the GGUF file`,
        otherwise: (adds) =>
          `the GGUF file does not say, and its tokenizer type ${quoted(fields.pre ?? fields.model)} ${adds ? 'has one' : 'has none'}`,
      },
    ),
    template: fields.template,
    namedTokens: Object.fromEntries(
      Object.entries(named).flatMap(([name, id]) => (id === null ? [] : [[name, fields.tokens[id]]])),
    ),
    tokenizerHash: hashOf(fields),
    warnings:
      pre !== null && fields.pre === null
        ? [
            'This GGUF file does not say how text is cut into words; the default of llama.cpp is used, and some ids may differ from the original tokenizer.',
          ]
        : [],
  }
}

type Parts = Pick<Definition, 'model' | 'addedTokens' | 'normalizer' | 'preTokenizer' | 'decoder'>

function preType(name: string | null): PreType {
  const found = preTypeOf(name ?? 'default')
  if (found === null) throw unsupported(`the pre-tokenizer type ${quoted(name ?? '')}`, key('pre'))
  return found
}

function vocabOf(tokens: readonly string[]): Map<string, number> {
  const vocab = new Map<string, number>()
  tokens.forEach((token, id) => {
    // llama.cpp's name for a token without text.
    const piece = token === '' ? `[EMPTY_${id}]` : token
    const other = vocab.get(piece)
    if (other !== undefined)
      throw malformedField(key('tokens'), `names ${quoted(piece)} twice, as ${other} and ${id}`)
    vocab.set(piece, id)
  })
  return vocab
}

/** Control, unknown and user-defined tokens stand outside the model, as added tokens. */
function addedTokens(fields: GgufFields, content: (token: string) => string): AddedToken[] {
  const added: AddedToken[] = []
  fields.types?.forEach((type, id) => {
    if (type !== types.control && type !== types.userDefined && type !== types.unknown) return
    const token = fields.tokens[id]
    if (token === '') return
    added.push({
      id,
      content: type === types.userDefined ? content(token) : token,
      singleWord: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: type !== types.userDefined,
    })
  })
  return added
}

const plainBpe = {
  kind: 'bpe',
  unknown: null,
  fuseUnknown: false,
  byteFallback: false,
  ignoreMerges: false,
  continuingPrefix: '',
  endSuffix: '',
} as const satisfies Partial<BpeDefinition>

function fromBytePairs(fields: GgufFields, vocab: Map<string, number>, pre: PreType): Parts {
  if (fields.merges === null) throw malformedField(key('merges'), 'is missing')
  return {
    model: {
      ...plainBpe,
      vocab,
      merges: readMerges([...fields.merges], vocab, '', key('merges')),
      ignoreMerges: pre.ignoreMerges === true,
    },
    addedTokens: addedTokens(fields, (token) => token),
    normalizer: null,
    preTokenizer: {
      type: 'Sequence',
      pretokenizers: [
        ...pre.patterns.map((pattern) => ({
          type: 'Split',
          pattern: { Regex: pattern },
          behavior: 'Isolated',
        })),
        { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      ],
    },
    decoder: { type: 'ByteLevel' },
  }
}

function fromSentencePiece(fields: GgufFields, vocab: Map<string, number>, unknownId: number | null): Parts {
  const { scores } = fields
  if (scores === null) throw malformedField(key('scores'), 'is missing')
  const bad = scores.findIndex((score) => !Number.isFinite(score))
  if (bad >= 0) throw malformedField(key('scores'), `number ${bad} is not a finite number`)
  const mergeable = (id: number): boolean => {
    const type = fields.types?.[id] ?? types.normal
    return type === types.normal || type === types.userDefined
  }
  const scored = [...vocab].flatMap(([piece, id]) => (mergeable(id) ? [[piece, scores[id]] as const] : []))
  const parts = new Map([...vocab].filter(([, id]) => mergeable(id)))
  const prefix = fields.addSpacePrefix ?? true
  const replace = (from: string, to: string) => ({ type: 'Replace', pattern: { String: from }, content: to })
  return {
    model: {
      ...plainBpe,
      vocab,
      merges: mergesFromScores(scored, parts),
      unknown: unknownId === null ? null : fields.tokens[unknownId],
      fuseUnknown: true,
      byteFallback: true,
    },
    addedTokens: addedTokens(fields, (token) => token.replaceAll(mark, ' ')),
    normalizer: {
      type: 'Sequence',
      normalizers: [...(prefix ? [{ type: 'Prepend', prepend: mark }] : []), replace(' ', mark)],
    },
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        replace(mark, ' '),
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
  }
}

/** Over everything that decides the ids of a text, in a fixed order. */
function hashOf(fields: GgufFields): string {
  const { model, pre, tokens, types: kinds, scores, merges, addSpacePrefix } = fields
  return createHash('sha256')
    .update(JSON.stringify([model, pre, tokens, kinds, scores, merges, addSpacePrefix]))
    .digest('hex')
}
