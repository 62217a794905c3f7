/** Safetensors files as a checkpoint: one file, or the shards that a Hugging Face index names. */
import path from 'node:path'
import { PatchbayError } from '../../../../preload/errors'
import type { Checkpoint, TensorEntry } from '../checkpoint'
import { malformed, quoted } from '../malformed'
import { PositionalFile } from '../positional-file'
import { isJsonObject } from '../strict-json'
import { TensorFiles } from '../tensor-files'
import { readSafetensorsHeader } from './file'

/** One file. @param config what `config.json` beside it says, if there is one */
export async function openSingleFile(file: string, config: unknown): Promise<Checkpoint> {
  const source = await PositionalFile.open(file)
  try {
    const { tensors } = await readSafetensorsHeader(source)
    return checkpointOf([source], tensors, config, [])
  } catch (error) {
    await source.close()
    throw error
  }
}

/**
 * The shards of an index.
 * @param indexFile for error messages and as the folder of the shards
 * @param index its parsed JSON
 */
export async function openShards(indexFile: string, index: unknown, config: unknown): Promise<Checkpoint> {
  const weightMap = parseWeightMap(index, indexFile)
  const shards = [...new Set(weightMap.values())].sort()
  const opened: PositionalFile[] = []
  try {
    const tensors = new Map<string, TensorEntry>()
    const warnings: string[] = []
    for (const shard of shards) {
      const source = await openShard(indexFile, shard)
      opened.push(source)
      const extra = await collect(source, shard, weightMap, tensors)
      if (extra.length > 0)
        warnings.push(
          `${quoted(shard)} has ${extra.length} tensors that the index does not name there, e.g. ${quoted(extra[0])}.`,
        )
    }
    const missing = [...weightMap.keys()].find((name) => !tensors.has(name))
    if (missing !== undefined)
      throw new PatchbayError(
        'model.incomplete',
        `${path.basename(indexFile)} promises tensor ${quoted(missing)} in ${quoted(weightMap.get(missing) ?? '')}, which does not have it.`,
        {
          file: indexFile,
          field: missing,
          next: 'Download the model again: its files do not belong together.',
        },
      )
    return checkpointOf(opened, tensors, config, warnings)
  } catch (error) {
    await Promise.all(opened.map((source) => source.close()))
    throw error
  }
}

/** Adds a shard's tensors that the index places there; returns the names of the others. */
async function collect(
  source: PositionalFile,
  shard: string,
  weightMap: ReadonlyMap<string, string>,
  tensors: Map<string, TensorEntry>,
): Promise<string[]> {
  const extra: string[] = []
  for (const [name, entry] of (await readSafetensorsHeader(source)).tensors) {
    if (weightMap.get(name) === shard) tensors.set(name, entry)
    else extra.push(name)
  }
  return extra
}

async function openShard(indexFile: string, shard: string): Promise<PositionalFile> {
  try {
    return await PositionalFile.open(path.join(path.dirname(indexFile), shard))
  } catch (cause) {
    if (!(cause instanceof PatchbayError) || cause.code !== 'file.missing') throw cause
    throw new PatchbayError(
      'model.incomplete',
      `The file ${quoted(shard)} that ${path.basename(indexFile)} names is not there.`,
      {
        file: indexFile,
        field: shard,
        next: 'Download the missing file into the same folder.',
        cause,
      },
    )
  }
}

function parseWeightMap(index: unknown, file: string): ReadonlyMap<string, string> {
  const weights = isJsonObject(index) ? index.weight_map : undefined
  if (!isJsonObject(weights)) throw malformed(file, 'has no weight_map', { field: 'weight_map' })
  const weightMap = new Map<string, string>()
  for (const [name, shard] of Object.entries(weights)) {
    if (typeof shard !== 'string')
      throw malformed(file, `weight_map ${quoted(name)} is no file name`, { field: name })
    if (!isPlainFileName(shard))
      throw new PatchbayError(
        'file.outside',
        `${path.basename(file)} places tensor ${quoted(name)} in ${quoted(shard)}, which is not a plain file name.`,
        { file, field: name, next: 'Do not open this model: its index points out of its folder.' },
      )
    weightMap.set(name, shard)
  }
  return weightMap
}

/** A name inside of the folder: no path, no drive, nothing that an operating system reads in another way. */
const isPlainFileName = (name: string): boolean =>
  name !== '' && name !== '.' && name !== '..' && !/[/\\:\u0000-\u001f]/.test(name)

function checkpointOf(
  sources: readonly PositionalFile[],
  tensors: ReadonlyMap<string, TensorEntry>,
  config: unknown,
  warnings: string[],
): Checkpoint {
  const files = new TensorFiles(sources, tensors)
  return {
    format: 'safetensors',
    files: sources.map((source) => source.path),
    tensors,
    config,
    metadata: new Map(),
    warnings,
    readFloat32: (name) => files.readFloat32(name),
    readRaw: (name, start, end) => files.readRaw(name, start, end),
    close: () => files.close(),
  }
}
