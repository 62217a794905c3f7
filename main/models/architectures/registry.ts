/** The families that Patchbay knows: what the files beside this and in `gguf/` export. A new one is a file there. */
import { PatchbayError } from '../../../preload/errors'
import type { Checkpoint } from '../formats/checkpoint'
import { ggufString } from '../formats/gguf/values'
import type { TransformerSpec } from '../spec'
import type { Family, GgufFamily } from './family'

type Modules = Record<string, Record<string, unknown>>

// The bundler writes the imports, so these patterns must stand here as they are.
const configs: Modules = import.meta.glob(['./*.ts', '!./registry.ts', '!./table.ts'], { eager: true })
const gguf: Modules = import.meta.glob('./gguf/*.ts', { eager: true })

/** By config.json, in the order of their files' names. */
export const families: readonly Family[] = exportsOf(configs).filter(isFamily)

/** By GGUF metadata, in the order of their files' names. */
export const ggufFamilies: readonly GgufFamily[] = exportsOf(gguf).filter(isGgufFamily)

function exportsOf(modules: Modules): unknown[] {
  return Object.keys(modules)
    .sort()
    .flatMap((file) => Object.values(modules[file]))
}

function isFamily(value: unknown): value is Family {
  return isReader(value) && 'modelTypes' in value
}

function isGgufFamily(value: unknown): value is GgufFamily {
  return isReader(value) && 'architectures' in value
}

function isReader(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'read' in value && typeof value.read === 'function'
}

/**
 * The spec of a checkpoint.
 * @throws PatchbayError `model.unknown-architecture` naming what is missing, `model.unsupported` naming a setting
 */
export async function readSpec(checkpoint: Checkpoint): Promise<TransformerSpec> {
  if (checkpoint.format === 'gguf') {
    const name = ggufString(checkpoint.metadata, 'general.architecture')
    const family = ggufFamilies.find((f) => name !== undefined && f.architectures.includes(name))
    if (family === undefined)
      throw unknownArchitecture(
        name,
        'general.architecture',
        ggufFamilies.flatMap((f) => f.architectures),
      )
    return family.read(checkpoint)
  }
  const name = modelType(checkpoint.config)
  const family = families.find((f) => typeof name === 'string' && f.modelTypes.includes(name))
  if (family === undefined)
    throw unknownArchitecture(
      name,
      'model_type',
      families.flatMap((f) => f.modelTypes),
    )
  return family.read(checkpoint.config, checkpoint.tensors)
}

function modelType(config: unknown): unknown {
  if (config === undefined)
    throw new PatchbayError(
      'model.incomplete',
      'There is no config.json beside the weights, so the architecture is not known.',
      {
        next: 'Open the folder that holds config.json together with the weights.',
        field: 'config.json',
      },
    )
  return config !== null && typeof config === 'object' && 'model_type' in config
    ? config.model_type
    : undefined
}

function unknownArchitecture(name: unknown, field: string, known: readonly string[]): PatchbayError {
  const what =
    typeof name === 'string'
      ? `The architecture "${name.slice(0, 80)}" is not known: there is no description of its norms, positions, attention and MLP.`
      : `The model does not say which architecture it has (no "${field}").`
  return new PatchbayError('model.unknown-architecture', what, {
    next: `Patchbay reads ${known.toSorted().join(', ')}; the documentation says how to add a family.`,
    field,
  })
}
