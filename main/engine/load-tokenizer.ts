/** The tokenizer that belongs to a checkpoint: from GGUF metadata, from the folder, or bare ids where there is none. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Checkpoint } from '../models/formats/checkpoint'
import { companionFolders } from '../models/formats/onnx/find'
import {
  loadTokenizerFromFolder,
  loadTokenizerFromGguf,
  tokenizerFromIds,
  type Tokenizer,
} from '../models/tokenizer'

/**
 * @param place the file of the model, or its folder
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
  const folder = foldersOf(place).find((each) => existsSync(path.join(each, 'tokenizer.json')))
  return folder === undefined ? tokenizerFromIds(vocab) : loadTokenizerFromFolder(folder)
}

/** Where the tokenizer may lie: in the model's folder, or around a folder `onnx` in it. */
function foldersOf(place: string): string[] {
  if (place.endsWith('.onnx')) return companionFolders(place)
  return [place.endsWith('.safetensors') ? path.dirname(place) : place]
}
