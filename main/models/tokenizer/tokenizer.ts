/** The tokenizer of a model's files: tables and decoding here, everything that runs the files' own rules in a worker. */
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../../preload/prompt'
import type { GgufMetadata } from '../formats/gguf/values'
import { Detokenizer } from './detokenizer'
import { checkedIds, checkedText } from './input'
import { makePrompt, surround } from './prompt'
import { readFolder } from './sources/folder-files'
import { ggufFields } from './sources/gguf-fields'
import type { TokenizerSource, TokenizerTables } from './thread/protocol'
import { TextWorker } from './thread/text-worker'
import type {
  BosStatement,
  DecodeOptions,
  EncodeOptions,
  StreamDecoder,
  Tokenizer,
  TokenizerOptions,
} from './types'

/**
 * Reads tokenizer.json and what stands beside it (tokenizer_config.json, special_tokens_map.json, chat_template.jinja or
 * .json, and the token ids in generation_config.json and config.json).
 * @throws PatchbayError `tokenizer.unsupported` (no tokenizer.json, or a component that is not supported),
 *   `file.malformed` naming the field, `file.unreadable`, `tokenizer.timeout`
 */
export async function loadTokenizerFromFolder(
  folder: string,
  options: TokenizerOptions = {},
): Promise<Tokenizer> {
  return load(await readFolder(folder), options, path.join(folder, 'tokenizer.json'))
}

/**
 * Builds the tokenizer that a GGUF file's metadata describes: byte-level BPE (`gpt2`) or SentencePiece BPE (`llama`).
 * @param file the GGUF file, for error messages
 * @throws PatchbayError `tokenizer.unsupported` naming the model or pre-tokenizer type, `file.malformed` naming the key
 */
export async function loadTokenizerFromGguf(
  metadata: GgufMetadata,
  options: TokenizerOptions & { file?: string } = {},
): Promise<Tokenizer> {
  return load(ggufFields(metadata), options, options.file)
}

async function load(
  source: TokenizerSource,
  options: TokenizerOptions,
  file: string | undefined,
): Promise<Tokenizer> {
  const worker = new TextWorker(source, options)
  try {
    return new FileTokenizer(await worker.load(), worker)
  } catch (error) {
    await worker.close()
    if (!(error instanceof PatchbayError)) throw error
    const { code, message, next, field, offset, cause } = error
    throw new PatchbayError(code, message, { next, field, offset, cause, file: error.file ?? file })
  }
}

class FileTokenizer implements Tokenizer {
  readonly vocabSize: number
  readonly bosId: number | null
  readonly eosIds: readonly number[]
  readonly hasChatTemplate: boolean
  readonly tokenizerHash: string
  readonly templateHash: string | null
  readonly bosPolicy: BosStatement
  readonly warnings: readonly string[]
  private readonly detokenizer: Detokenizer

  constructor(
    private readonly tables: TokenizerTables,
    private readonly worker: TextWorker,
  ) {
    this.vocabSize = tables.pieces.length
    this.bosId = tables.bosId
    this.eosIds = tables.eosIds
    this.hasChatTemplate = tables.templateHash !== null
    this.tokenizerHash = tables.tokenizerHash
    this.templateHash = tables.templateHash
    this.bosPolicy = tables.bosPolicy
    this.warnings = tables.warnings
    this.detokenizer = new Detokenizer(tables.pieces, new Set(tables.specialIds), tables.decodePlan)
  }

  async encode(text: string, options: EncodeOptions = {}, signal?: AbortSignal): Promise<number[]> {
    const ids = await this.plainIds(text, signal)
    if (options.addSpecialTokens !== true) return ids
    const { before, after } = surround(ids, 'model', { ...this.tables, detokenizer: this.detokenizer })
    return [...before, ...ids, ...after]
  }

  async encodePrompt(spec: PromptSpec, signal?: AbortSignal): Promise<EncodedPrompt> {
    return makePrompt(spec, {
      ...this.tables,
      detokenizer: this.detokenizer,
      encode: (text) => this.plainIds(text, signal),
      render: async ({ messages, addGenerationPrompt }) => {
        if (!this.hasChatTemplate)
          throw new PatchbayError('template.failed', 'This model has no chat template.', {
            next: 'Write the prompt as plain text.',
          })
        messages.forEach((message, index) => checkedText(message.content, `message ${index + 1}`))
        return this.worker.call('render', { messages, addGenerationPrompt }, signal)
      },
    })
  }

  async decode(ids: readonly number[], options: DecodeOptions = {}): Promise<string> {
    return this.detokenizer.decode(checkedIds(ids), options)
  }

  decodeStream(options: DecodeOptions = {}): StreamDecoder {
    return this.detokenizer.stream(options)
  }

  tokens(ids: readonly number[]): TokenInfo[] {
    return checkedIds(ids).map((id) => this.detokenizer.info(id))
  }

  async close(): Promise<void> {
    await this.worker.close()
  }

  private async plainIds(text: string, signal?: AbortSignal): Promise<number[]> {
    if (checkedText(text, 'the text') === '') return []
    return Array.from(await this.worker.call('encode', text, signal))
  }
}
