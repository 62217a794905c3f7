/** Reads a model folder's tokenizer files as text, each below its size limit; what they mean is the worker's business. */
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../../preload/errors'
import { readFailure } from '../../formats/malformed'
import { largestSideFile, largestTokenizerFile } from '../limits'

export interface FolderFiles {
  kind: 'folder'
  tokenizer: string
  /** null where there is no such file */
  tokenizerConfig: string | null
  specialTokensMap: string | null
  generationConfig: string | null
  config: string | null
  templateFile: string | null
  templateJson: string | null
}

async function read(file: string, largest: number): Promise<string | null> {
  try {
    const { size } = await stat(file)
    if (size > largest)
      throw new PatchbayError(
        'file.malformed',
        `${path.basename(file)} has ${size} bytes, more than ${largest}.`,
        {
          file,
          next: 'A tokenizer of this size is not one; download the model again.',
        },
      )
    return await readFile(file, 'utf8')
  } catch (cause) {
    const failure = readFailure(file, cause)
    if (failure.code === 'file.missing') return null
    throw failure
  }
}

/** @throws `tokenizer.unsupported` without a tokenizer.json, `file.unreadable`, `file.malformed` for a file too large */
export async function readFolder(folder: string): Promise<FolderFiles> {
  const side = (name: string) => read(path.join(folder, name), largestSideFile)
  const file = path.join(folder, 'tokenizer.json')
  const tokenizer = await read(file, largestTokenizerFile)
  if (tokenizer === null)
    throw new PatchbayError('tokenizer.unsupported', `There is no tokenizer.json in ${folder}.`, {
      file,
      next: 'Add the tokenizer.json of this model, or give token ids instead of text.',
    })
  const [tokenizerConfig, specialTokensMap, generationConfig, config, templateFile, templateJson] =
    await Promise.all([
      side('tokenizer_config.json'),
      side('special_tokens_map.json'),
      side('generation_config.json'),
      side('config.json'),
      side('chat_template.jinja'),
      side('chat_template.json'),
    ])
  return {
    kind: 'folder',
    tokenizer,
    tokenizerConfig,
    specialTokensMap,
    generationConfig,
    config,
    templateFile,
    templateJson,
  }
}
