/** The models in a snapshot folder: its sets of weights, whether they are whole, and what its config.json says. */
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../../preload/errors'
import { isRepoFile, type CachedModel, type Support, type WeightChoice } from '../../../../preload/hub'
import { malformed } from '../../formats/malformed'
import { parseStrictJson } from '../../formats/strict-json'
import { indexSuffix, shardNames, weightChoices } from '../choose-files'
import type { ListedFile } from '../repository'
import { configSupport, modelConfig, notKnown, type ModelConfig } from '../support'
import { sizeOf } from './layout'

const largestJson = 32 << 20

/** Whose snapshot it is. */
type Whose = Pick<CachedModel, 'repoId' | 'commit' | 'folder' | 'refs'>
type Files = ReadonlyMap<string, ListedFile>

/**
 * One model for each set of weights. A damaged JSON file or a missing shard is the model's `support.reason`.
 * @param names of the files in the folder, with `/` between folders; links to nothing are ignored
 * @throws PatchbayError `file.unreadable`
 */
export async function readSnapshot(whose: Whose, names: readonly string[]): Promise<CachedModel[]> {
  const files = new Map<string, ListedFile>()
  let latest = 0
  for (const name of names.filter(isRepoFile)) {
    const file = path.join(whose.folder, name)
    const bytes = await sizeOf(file)
    if (bytes === null) continue
    files.set(name, { name, bytes, hash: null })
    latest = Math.max(latest, (await stat(file)).mtimeMs)
  }
  const modified = new Date(latest).toISOString()
  const models: CachedModel[] = []
  for (const choice of weightChoices(files)) {
    const isGguf = choice.format === 'gguf'
    const described = isGguf ? describeGguf(choice) : await describeFolder(whose.folder, choice, files)
    models.push({
      ...whose,
      path: isGguf ? path.join(whose.folder, choice.weights) : whose.folder,
      format: choice.format,
      modified,
      ...described,
    })
  }
  return models
}

type Description = Pick<CachedModel, 'bytes' | 'modelType' | 'architectures' | 'support'>

const describeGguf = ({ bytes }: WeightChoice): Description => ({
  bytes,
  modelType: null,
  architectures: [],
  support: notKnown('The architecture is read when the file is opened.'),
})

async function describeFolder(
  folder: string,
  { weights, bytes }: WeightChoice,
  files: Files,
): Promise<Description> {
  try {
    const parts = weights.endsWith(indexSuffix)
      ? [weights, ...(await readShards(folder, weights))]
      : [weights]
    const config = files.has('config.json') ? await readConfig(folder) : null
    const absent = parts.find((name) => !files.has(name))
    return {
      bytes: parts.reduce((sum, name) => sum + (files.get(name)?.bytes ?? 0), 0),
      modelType: config?.model_type ?? null,
      architectures: config?.architectures ?? [],
      support: absent === undefined ? configSupport(config) : unfinished(absent),
    }
  } catch (error) {
    if (!(error instanceof PatchbayError) || error.code !== 'file.malformed') throw error
    return { bytes, modelType: null, architectures: [], support: { canOpen: 'no', reason: error.message } }
  }
}

const unfinished = (absent: string): Support => ({
  canOpen: 'no',
  reason: `${absent} is not there: its download was not finished. Download it again.`,
})

async function readShards(folder: string, index: string): Promise<string[]> {
  const file = path.join(folder, index)
  const names = shardNames(await readJson(file))
  if (names === null || !names.every(isRepoFile))
    throw malformed(file, 'names no files of its folder', { field: 'weight_map' })
  return names
}

async function readConfig(folder: string): Promise<ModelConfig> {
  const file = path.join(folder, 'config.json')
  const config = modelConfig.safeParse(await readJson(file))
  if (config.success) return config.data
  throw malformed(file, 'holds no object')
}

async function readJson(file: string): Promise<unknown> {
  const size = await sizeOf(file)
  if (size === null || size > largestJson) throw malformed(file, `has ${size ?? 'no'} bytes`)
  return parseStrictJson(await readFile(file, 'utf8'), { file, maxDepth: 64, pythonNumbers: true })
}
