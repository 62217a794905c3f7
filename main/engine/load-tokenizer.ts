/** The tokenizer that belongs to a checkpoint: from GGUF metadata, from the folder, or bare ids where there is none. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Checkpoint } from '../models/formats/checkpoint'
import {
  loadTokenizerFromFolder,
  loadTokenizerFromGguf,
  tokenizerFromIds,
  type Tokenizer,
} from '../models/tokenizer'

/**
 * @param place the file or folder that was opened
 * @param vocab the model's vocabulary, for models that come without a tokenizer
 */
export async function loadTokenizer(
  checkpoint: Checkpoint,
  place: string,
  vocab: number,
): Promise<Tokenizer> {
  if (checkpoint.format === 'gguf') {
    if (!checkpoint.metadata.has('tokenizer.ggml.model')) return tokenizerFromIds(vocab)
    return loadTokenizerFromGguf(checkpoint.metadata, { file: checkpoint.files[0] })
  }
  const folder = /\.(safetensors|onnx)$/.test(place) ? path.dirname(place) : place
  return existsSync(path.join(folder, 'tokenizer.json'))
    ? loadTokenizerFromFolder(folder)
    : tokenizerFromIds(vocab)
}
