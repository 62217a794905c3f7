/** A trained model as a Hugging Face folder: the configuration and tokenizer that it was trained with, and its weights. */
import { copyFile, mkdir, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { writeSafetensors } from '../../models/formats/safetensors'
import type { Parameter } from '../optimiser/parameter'

const beside = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
])

/**
 * Writes `folder`; its `model.safetensors` is replaced as a whole.
 * @param source the folder whose configuration and tokenizer it has
 */
export async function saveModelFolder(
  folder: string,
  source: string,
  parameters: readonly Parameter[],
): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(source)) {
    const from = path.join(source, name)
    if (beside.has(name) && (await stat(from)).isFile()) await copyFile(from, path.join(folder, name))
  }
  await writeSafetensors(
    path.join(folder, 'model.safetensors'),
    parameters.map(({ name, shape, data }) => ({ name, shape, data })),
    { format: 'pt' },
  )
}
