/** Text ⇄ token ids and chat templates, from model files that are hostile by assumption. */
export type {
  BosStatement,
  DecodeOptions,
  EncodeOptions,
  StreamDecoder,
  Tokenizer,
  TokenizerOptions,
} from './types'
export { loadTokenizerFromFolder, loadTokenizerFromGguf } from './tokenizer'
export { tokenizerFromIds } from './id-tokenizer'
