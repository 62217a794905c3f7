/** Takes the tokenizer's keys out of GGUF metadata: plain values that can be sent to the worker. */
import { PatchbayError } from '../../../../preload/errors'
import { ggufBoolean, ggufNumber, ggufNumbers, ggufString, ggufStrings } from '../../formats/gguf/values'
import type { GgufMetadata } from '../../formats/gguf/values'

export interface GgufFields {
  kind: 'gguf'
  /** tokenizer.ggml.model: gpt2, llama, … */
  model: string
  pre: string | null
  tokens: readonly string[]
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; null where the file has none */
  types: readonly number[] | null
  scores: readonly number[] | null
  merges: readonly string[] | null
  bosId: number | null
  eosIds: readonly number[]
  unknownId: number | null
  padId: number | null
  addBos: boolean | null
  addEos: boolean | null
  addSpacePrefix: boolean | null
  template: string | null
}

/** @throws `tokenizer.unsupported` where the file holds no tokenizer, `file.malformed` for a value of another type */
export function ggufFields(metadata: GgufMetadata): GgufFields {
  const key = (name: string) => `tokenizer.ggml.${name}`
  const model = ggufString(metadata, key('model'))
  const tokens = ggufStrings(metadata, key('tokens'))
  if (model === undefined || tokens === undefined || tokens.length === 0)
    throw new PatchbayError('tokenizer.unsupported', 'This GGUF file holds no tokenizer.', {
      field: key('model'),
      next: 'Convert the model again with its tokenizer, or give token ids instead of text.',
    })
  const ends = ['eos', 'eot', 'eom'].map((end) => ggufNumber(metadata, key(`${end}_token_id`)))
  return {
    kind: 'gguf',
    model,
    pre: ggufString(metadata, key('pre')) ?? null,
    tokens,
    types: ggufNumbers(metadata, key('token_type')) ?? null,
    scores: ggufNumbers(metadata, key('scores')) ?? null,
    merges: ggufStrings(metadata, key('merges')) ?? null,
    bosId: ggufNumber(metadata, key('bos_token_id')) ?? null,
    eosIds: ends.filter((id, index) => id !== undefined && ends.indexOf(id) === index).map(Number),
    unknownId: ggufNumber(metadata, key('unknown_token_id')) ?? null,
    padId: ggufNumber(metadata, key('padding_token_id')) ?? null,
    addBos: ggufBoolean(metadata, key('add_bos_token')) ?? null,
    addEos: ggufBoolean(metadata, key('add_eos_token')) ?? null,
    addSpacePrefix: ggufBoolean(metadata, key('add_space_prefix')) ?? null,
    template: ggufString(metadata, 'tokenizer.chat_template') ?? null,
  }
}
