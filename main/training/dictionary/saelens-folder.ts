/** A dictionary as SAELens keeps it: a folder with `cfg.json` and `sae_weights.safetensors`. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import { writeWhole } from '../../files/durable-file'
import { SafetensorsFile, writeSafetensors } from '../../models/formats/safetensors'
import { weightShapes, type DictionaryConfig, type DictionaryWeights } from './config'
import { readSaelensConfig, saelensConfig } from './saelens-config'

const configFile = 'cfg.json'
const weightsFile = 'sae_weights.safetensors'

/** A configuration with its weights. */
export interface SavedDictionary {
  readonly config: DictionaryConfig
  readonly weights: DictionaryWeights
}

/**
 * @throws PatchbayError `file.missing`, `file.malformed`, `model.unsupported`; `model.incomplete` for weights that the
 *   configuration promises and the file does not have in that shape
 */
export async function openSaelensFolder(folder: string): Promise<SavedDictionary> {
  const file = path.join(folder, configFile)
  const config = readSaelensConfig(await readJson(file), file)
  const opened = await SafetensorsFile.open(path.join(folder, weightsFile))
  try {
    const weights = new Map<string, Tensor>()
    for (const [name, shape] of weightShapes(config)) {
      const entry = opened.tensors.get(name)
      if (entry?.shape.join() !== shape.join())
        throw new PatchbayError(
          'model.incomplete',
          `The dictionary has no ${name} of ${shape.join(' × ')}, which its cfg.json promises.`,
          { file: opened.path, field: name, next: 'Download the dictionary again.' },
        )
      weights.set(name, { shape, data: await opened.readFloat32(name) })
    }
    return { config, weights }
  } finally {
    await opened.close()
  }
}

/** Writes the weights first, then `cfg.json`, each whole: a folder with both is complete. */
export async function saveSaelensFolder(folder: string, { config, weights }: SavedDictionary): Promise<void> {
  const cfg = saelensConfig(config)
  const tensors = [...weightShapes(config)].map(([name, shape]) => {
    const tensor = weights.get(name)
    if (tensor === undefined) throw new PatchbayError('internal', `The dictionary lacks ${name}.`)
    return { name, shape, data: tensor.data }
  })
  await writeSafetensors(path.join(folder, weightsFile), tensors)
  await writeWhole(path.join(folder, configFile), JSON.stringify(cfg))
}

async function readJson(file: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw asPatchbayError(error)
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PatchbayError('file.malformed', 'cfg.json is not JSON.', {
      file,
      next: 'Download the dictionary again.',
      cause,
    })
  }
}
