/** From a path that a person chose to a checkpoint: which container it is, and which files belong to it. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import type { Checkpoint } from './checkpoint'
import { openGguf } from './gguf'
import { malformed, quoted, readFailure } from './malformed'
import { PositionalFile } from './positional-file'
import { openShards, openSingleFile } from './safetensors/checkpoint'
import { parseStrictJson } from './strict-json'

const indexSuffix = '.safetensors.index.json'
const shardName = /-\d{5}-of-\d{5}\.safetensors$/

/** Larger than any configuration; an index of a very large model takes a few MB. */
const largestJson = 64 << 20

/**
 * Opens a checkpoint and validates everything about it that its headers say; no weights are read.
 * @param file a `.safetensors` or `.gguf` file, or a folder: a Hugging Face one (`model.safetensors`, or shards named by
 * `*.safetensors.index.json`, with `config.json` beside them), or one that holds a single weight file. One file of
 * several that belong together stands for them all.
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.outside`, `file.malformed`, `model.incomplete`,
 * `model.unsupported` (a storage type that is known but not read)
 */
export async function openCheckpoint(file: string): Promise<Checkpoint> {
  const absolute = path.resolve(file)
  if (await isFolder(absolute)) return openFolder(absolute)
  if (absolute.endsWith(indexSuffix)) return openIndex(absolute)
  if ((await containerOf(absolute)) === 'gguf') return openGguf(absolute)
  const index = shardName.test(absolute) ? await indexBeside(absolute) : undefined
  if (index !== undefined) return openIndex(index)
  return openSingleFile(absolute, await readConfig(path.dirname(absolute)))
}

async function isFolder(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isDirectory()
  } catch (cause) {
    throw readFailure(file, cause)
  }
}

/** By the first bytes, since caches name files by their hash; by the name where those say nothing. */
async function containerOf(file: string): Promise<'safetensors' | 'gguf'> {
  const source = await PositionalFile.open(file)
  try {
    const start = await source.read(0, Math.min(9, source.size))
    if (Buffer.from(start.subarray(0, 4)).toString('latin1') === 'GGUF' || file.endsWith('.gguf'))
      return 'gguf'
    if (file.endsWith('.safetensors') || start[8] === 0x7b) return 'safetensors'
    throw malformed(file, 'is no safetensors, GGUF or ONNX file', {
      offset: 0,
      next: 'Open a .safetensors, .gguf or .onnx file, or the folder of a Hugging Face model.',
    })
  } finally {
    await source.close()
  }
}

/** The weights of a folder, by the order in which Hugging Face's own loader looks for them. */
async function openFolder(folder: string): Promise<Checkpoint> {
  const names = await list(folder)
  const named = path.join(folder, 'model.safetensors')
  if (names.includes('model.safetensors')) return openSingleFile(named, await readConfig(folder))
  const index = preferred(names, indexSuffix, `model${indexSuffix}`)
  if (index !== undefined) return openIndex(path.join(folder, index))
  const weights = names.filter((name) => name.endsWith('.safetensors') || name.endsWith('.gguf'))
  const wholeSplit = weights.length > 1 && weights.every((name) => /-\d{5}-of-\d{5}\.gguf$/.test(name))
  if (weights.length === 1 || wholeSplit) return openCheckpoint(path.join(folder, weights.sort()[0]))
  throw new PatchbayError(
    'file.missing',
    weights.length === 0
      ? `The folder ${quoted(folder)} has no weights: no .safetensors and no .gguf file.`
      : `The folder ${quoted(folder)} has ${weights.length} weight files and nothing says which to open: ${weights
          .slice(0, 5)
          .map(quoted)
          .join(', ')}.`,
    {
      file: folder,
      next:
        weights.length === 0
          ? 'Choose a folder that holds a model.'
          : 'Choose one of the files instead of the folder.',
    },
  )
}

async function openIndex(file: string): Promise<Checkpoint> {
  const index = await readJson(file, false)
  return openShards(file, index, await readConfig(path.dirname(file)))
}

async function indexBeside(shard: string): Promise<string | undefined> {
  const folder = path.dirname(shard)
  const stem = path.basename(shard).replace(shardName, '')
  const name = `${stem}${indexSuffix}`
  return (await list(folder)).includes(name) ? path.join(folder, name) : undefined
}

function preferred(names: readonly string[], suffix: string, first: string): string | undefined {
  if (names.includes(first)) return first
  const found = names.filter((name) => name.endsWith(suffix))
  return found.length === 1 ? found[0] : undefined
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (cause) {
    throw readFailure(folder, cause)
  }
}

export async function readConfig(folder: string): Promise<unknown> {
  if (!(await list(folder)).includes('config.json')) return undefined
  return readJson(path.join(folder, 'config.json'), true)
}

async function readJson(file: string, pythonNumbers: boolean): Promise<unknown> {
  const source = await PositionalFile.open(file)
  try {
    if (source.size > largestJson)
      throw malformed(file, `is ${source.size} bytes long, too much for what it should say`)
    const bytes = await source.read(0, source.size)
    return parseStrictJson(decodeText(bytes, file), { file, pythonNumbers })
  } finally {
    await source.close()
  }
}

function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw malformed(file, 'is not UTF-8 text', { cause })
  }
}
