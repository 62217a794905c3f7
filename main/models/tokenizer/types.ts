/**
 * What the rest of Patchbay knows of a tokenizer: token ids in and out, prompts with every id accounted for, and
 * hashes for presets. How the ids come about (a worker, a library, a file format) is nobody else's business.
 */
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../../preload/prompt'

/**
 * Turns a stream of ids into text. Never yields half a character: what is incomplete waits for the next id. The pieces
 * joined are `decode` of the ids, except that malformed runs of byte tokens may get fewer U+FFFD.
 */
export interface StreamDecoder {
  /** the text that became certain with this id; often '' */
  push(id: number): string
  /** what is left at the end, an unfinished character as U+FFFD */
  finish(): string
}

/** What the model's files say about BOS. */
export interface BosStatement {
  addBos: boolean
  /** which file says so, fit to follow "because": "tokenizer_config.json says add_bos_token: true" */
  source: string
}

export interface EncodeOptions {
  /** apply the model's BOS / EOS policy; default false. Special tokens written in the text are recognised either way. */
  addSpecialTokens?: boolean
}

export interface DecodeOptions {
  skipSpecialTokens?: boolean
}

export interface Tokenizer {
  /** highest id of the tokenizer's table, plus one; the model's embedding may have more rows */
  readonly vocabSize: number
  readonly bosId: number | null
  readonly eosIds: readonly number[]
  readonly hasChatTemplate: boolean
  /** sha256 (hex) over what decides text → ids; for presets */
  readonly tokenizerHash: string
  /** sha256 (hex) of the chat template, null without one */
  readonly templateHash: string | null
  readonly bosPolicy: BosStatement
  /** what a person should know about this tokenizer, e.g. an approximated component; one sentence each */
  readonly warnings: readonly string[]
  /**
   * Text → ids.
   * @throws PatchbayError `input.invalid` (half a surrogate pair, too long, no token for a character),
   *   `tokenizer.timeout`, `memory.exhausted`, `run.cancelled`
   */
  encode(text: string, options?: EncodeOptions, signal?: AbortSignal): Promise<number[]>
  /**
   * A prompt → ids, each with its origin.
   * @throws PatchbayError as `encode`, and `prompt.empty`, `template.failed`
   */
  encodePrompt(spec: PromptSpec, signal?: AbortSignal): Promise<EncodedPrompt>
  /** Ids → text, as the model's own decoder gives it. An id that names no token stands for nothing. */
  decode(ids: readonly number[], options?: DecodeOptions): Promise<string>
  decodeStream(options?: DecodeOptions): StreamDecoder
  /** Synchronous table look-up. An id that names no token (padding of the embedding) has the piece "#id" and no text. */
  tokens(ids: readonly number[]): TokenInfo[]
  /** Ends the worker, if one runs. The tokenizer can not encode afterwards. */
  close(): Promise<void>
}

export interface TokenizerOptions {
  /** the worker's script; without it the bundled text-worker.js is looked for */
  workerUrl?: URL
  /** limit for one encoding or one template, in milliseconds; default 5000 */
  timeLimitMs?: number
  /** limit for reading the tokenizer, in milliseconds; default 30000 */
  loadTimeLimitMs?: number
  /** heap limit of the worker in megabytes; default 1024 */
  memoryLimitMb?: number
}
