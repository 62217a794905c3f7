/**
 * Which files of a repository make a model that can be opened: one set of weights, and for safetensors the
 * configuration, tokenizer and chat template beside them. Chosen by name from a fixed list, so that pickles and code
 * are never among them.
 */
import type { WeightChoice } from '../../../preload/hub'
import { isJsonObject } from '../formats/strict-json'
import type { ListedFile } from './repository'

/** Beside safetensors. A GGUF file has all of this inside. */
const companions = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
  'tokenizer.model',
  'spiece.model',
  'chat_template.jinja',
  'chat_template.json',
])

export const isCompanion = (name: string): boolean => companions.has(name)

export const indexSuffix = '.safetensors.index.json'

/** Vision projectors and importance matrices are GGUF files that are no language models. */
const notAModel = /(?:^|[^a-z])(?:mmproj|imatrix)/i
const part = /^(.*)-(\d{5})-of-(\d{5})(\.safetensors|\.gguf)$/

type Files = ReadonlyMap<string, ListedFile>

/**
 * The sets of weights in a repository, safetensors before GGUF; of safetensors only what opening the folder would take.
 * Sizes are sums over files that belong together by their names.
 */
export function weightChoices(files: Files): WeightChoice[] {
  return [...safetensorsChoices(files), ...ggufChoices(files)]
}

function safetensorsChoices(files: Files): WeightChoice[] {
  const names = [...files.keys()].filter((name) => !name.includes('/'))
  const indices = names.filter((name) => name.endsWith(indexSuffix))
  const single = names.filter((name) => name.endsWith('.safetensors') && !part.test(name))
  const index =
    indices.find((name) => name === `model${indexSuffix}`) ?? (indices.length === 1 ? indices[0] : undefined)
  const whole = single.find((name) => name === 'model.safetensors')
  if (whole !== undefined) return [choice(files, whole, [whole], 'safetensors')]
  if (index !== undefined) return [choice(files, index, shardsOf(files, index), 'safetensors')]
  return single.length === 1 ? [choice(files, single[0], single, 'safetensors')] : []
}

/** The shards that an index of this name usually lists; it has the last word. */
export function shardsOf(files: Files, index: string): string[] {
  const stem = index.slice(0, -indexSuffix.length)
  return [...files.keys()].filter((name) => {
    const found = part.exec(name)
    return found?.[1] === stem && found[4] === '.safetensors'
  })
}

/** The files that an index says the weights are in; null for what is no index. They may be any strings. */
export function shardNames(index: unknown): string[] | null {
  const map = isJsonObject(index) ? index['weight_map'] : undefined
  if (!isJsonObject(map)) return null
  const names = [...new Set(Object.values(map))]
  return names.length > 0 && names.every((name) => typeof name === 'string') ? names : null
}

function ggufChoices(files: Files): WeightChoice[] {
  const choices: WeightChoice[] = []
  for (const name of [...files.keys()]
    .filter((each) => /\.gguf$/i.test(each) && !notAModel.test(each))
    .sort()) {
    const found = part.exec(name)
    if (found === null) choices.push(choice(files, name, [name], 'gguf'))
    else if (found[2] === '00001') choices.push(choice(files, name, ggufParts(name), 'gguf'))
  }
  return choices.filter(({ weights }) => ggufParts(weights).every((name) => files.has(name)))
}

/** A GGUF file and, where it is the first of several, the others. */
export function ggufParts(first: string): string[] {
  const found = part.exec(first)
  if (found === null) return [first]
  const count = Math.min(Math.max(Number(found[3]), 1), 1000)
  return Array.from(
    { length: count },
    (_, i) => `${found[1]}-${String(i + 1).padStart(5, '0')}-of-${found[3]}.gguf`,
  )
}

function choice(
  files: Files,
  weights: string,
  names: string[],
  format: WeightChoice['format'],
): WeightChoice {
  const bytes = names.reduce((sum, name) => sum + (files.get(name)?.bytes ?? 0), 0)
  return {
    weights,
    format,
    files: Math.max(1, names.length),
    bytes,
    quantisation: quantisationOf(weights, format),
  }
}

const ggufType = /(?:^|[^a-z0-9])((?:i?q\d|tq\d|mxfp4|bf16|f16|f32)(?:_[a-z0-9]+)*)(?=[^a-z0-9_]|$)/gi

function quantisationOf(name: string, format: WeightChoice['format']): string | null {
  if (format !== 'gguf') return null
  return [...name.matchAll(ggufType)].at(-1)?.[1].toUpperCase() ?? null
}

/** Between exactness and size: what a person most likely wants of many GGUF files. */
const preference = ['Q8_0', 'Q6_K', 'Q5_K_M', 'Q4_K_M', 'Q4_1', 'Q4_0', 'F16', 'BF16', 'F32']

/** The set to take where the person did not say: safetensors, else the first of the preferred quantisations. */
export function preferredChoice(choices: readonly WeightChoice[]): WeightChoice | null {
  const rank = ({ format, quantisation }: WeightChoice): number => {
    if (format === 'safetensors') return -1
    const found = preference.indexOf(quantisation ?? '')
    return found < 0 ? preference.length : found
  }
  return choices.toSorted((a, b) => rank(a) - rank(b) || a.bytes - b.bytes)[0] ?? null
}
