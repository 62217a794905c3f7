/**
 * A tokenizer as data, from whichever file it came: model, added tokens, the components around the model in the form
 * of a tokenizer.json, and what the files say about special tokens. Sources make it, the encoder and decoder read it.
 */
import type { BosStatement } from './types'

export interface BpeDefinition {
  kind: 'bpe'
  vocab: ReadonlyMap<string, number>
  /** ids [left, right, merged] of each merge, by rank */
  merges: Int32Array
  unknown: string | null
  fuseUnknown: boolean
  /** characters without a token become <0xNN> tokens */
  byteFallback: boolean
  /** a word that is a token as a whole is not merged */
  ignoreMerges: boolean
  continuingPrefix: string
  endSuffix: string
}

export interface WordPieceDefinition {
  kind: 'wordpiece'
  vocab: ReadonlyMap<string, number>
  unknown: string
  continuingPrefix: string
  longestWord: number
}

export interface UnigramDefinition {
  kind: 'unigram'
  /** piece and log probability, by id */
  pieces: readonly (readonly [string, number])[]
  unknownId: number
}

export type ModelDefinition = BpeDefinition | WordPieceDefinition | UnigramDefinition

export interface AddedToken {
  id: number
  content: string
  singleWord: boolean
  lstrip: boolean
  rstrip: boolean
  normalized: boolean
  special: boolean
}

export interface Definition {
  model: ModelDefinition
  addedTokens: readonly AddedToken[]
  /** components in the form of tokenizer.json; null where there is none */
  normalizer: unknown
  preTokenizer: unknown
  decoder: unknown
  bosId: number | null
  eosIds: readonly number[]
  bosPolicy: BosStatement
  /** ids put before and after a text by the model's own policy */
  prefix: readonly number[]
  suffix: readonly number[]
  template: string | null
  /** `bos_token`, `eos_token`, …: what a chat template may ask for */
  namedTokens: Readonly<Record<string, string>>
  tokenizerHash: string
  warnings: readonly string[]
}

/** The piece of each id, including added tokens; holes are undefined. */
export function pieceTable(definition: Pick<Definition, 'model' | 'addedTokens'>): (string | undefined)[] {
  const { model, addedTokens } = definition
  const pieces: (string | undefined)[] = []
  const put = (id: number, piece: string) => {
    while (pieces.length < id) pieces.push(undefined)
    pieces[id] = piece
  }
  if (model.kind === 'unigram') model.pieces.forEach(([piece], id) => put(id, piece))
  else for (const [piece, id] of model.vocab) put(id, piece)
  for (const token of addedTokens) put(token.id, token.content)
  return pieces
}
