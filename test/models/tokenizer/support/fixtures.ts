/** Small tokenizers made by hand, and folders to put them in. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import type { GgufArray, GgufMetadata, GgufValue } from '../../../../main/models/formats/gguf'
import { loadTokenizerFromFolder, loadTokenizerFromGguf } from '../../../../main/models/tokenizer'
import type { Tokenizer, TokenizerOptions } from '../../../../main/models/tokenizer'
import { characterOfByte } from '../../../../main/models/tokenizer/byte-level'

type Json = Record<string, unknown>

/** Byte-level BPE: the 256 bytes, then `merges` ("h e"), then the special tokens `<s>` and `</s>`. */
export function byteLevelJson(merges: readonly string[] = []): Json & { model: Json; added_tokens: Json[] } {
  const pieces = [...characterOfByte, ...merges.map((merge) => merge.replace(' ', ''))]
  const special = (id: number, content: string) => ({ id, content, special: true, normalized: false })
  return {
    added_tokens: [special(pieces.length, '<s>'), special(pieces.length + 1, '</s>')],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])), merges },
  }
}

/** The tokenizer of a folder of these files (objects become JSON); both are gone after the test. */
export async function fromFiles(
  files: Record<string, unknown>,
  options: TokenizerOptions = {},
): Promise<Tokenizer> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-tokenizer-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files))
    await writeFile(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  const tokenizer = await loadTokenizerFromFolder(folder, options)
  onTestFinished(() => tokenizer.close())
  return tokenizer
}

export const fromJson = (json: unknown, options: TokenizerOptions = {}): Promise<Tokenizer> =>
  fromFiles({ 'tokenizer.json': json }, options)

const strings = (value: readonly string[]): GgufArray => ({ type: 'array', of: 'string', value })
const int32 = (value: readonly number[]): GgufArray => ({
  type: 'array',
  of: 'int32',
  value: Int32Array.from(value),
})
const float32 = (value: readonly number[]): GgufArray => ({
  type: 'array',
  of: 'float32',
  value: Float32Array.from(value),
})

const plain = (value: string | number | boolean): GgufValue =>
  typeof value === 'string'
    ? { type: 'string', value }
    : typeof value === 'boolean'
      ? { type: 'bool', value }
      : { type: 'uint32', value }

/** GGUF metadata from short names: `tokens`, `merges`, `scores`, `token_type` and plain values below tokenizer.ggml. */
export function ggufMetadata(fields: {
  tokens: readonly string[]
  merges?: readonly string[]
  scores?: readonly number[]
  token_type?: readonly number[]
  plain: Record<string, string | number | boolean>
}): GgufMetadata {
  const entries: [string, GgufValue][] = [['tokenizer.ggml.tokens', strings(fields.tokens)]]
  if (fields.merges !== undefined) entries.push(['tokenizer.ggml.merges', strings(fields.merges)])
  if (fields.scores !== undefined) entries.push(['tokenizer.ggml.scores', float32(fields.scores)])
  if (fields.token_type !== undefined) entries.push(['tokenizer.ggml.token_type', int32(fields.token_type)])
  for (const [name, value] of Object.entries(fields.plain))
    entries.push([name.includes('.') ? name : `tokenizer.ggml.${name}`, plain(value)])
  return new Map(entries)
}

export async function fromGguf(metadata: GgufMetadata, options: TokenizerOptions = {}): Promise<Tokenizer> {
  const tokenizer = await loadTokenizerFromGguf(metadata, options)
  onTestFinished(() => tokenizer.close())
  return tokenizer
}

/** The text of each token of a prompt, with its origin where that is not the text: "bos:<s>". */
export const origins = (tokens: readonly { origin: string; piece: string }[]): string[] =>
  tokens.map(({ origin, piece }) => (origin === 'text' ? piece : `${origin}:${piece}`))
