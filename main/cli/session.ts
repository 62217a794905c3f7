/** One command's engine: opened on a model, cancelled by Ctrl+C, closed at the end. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { PatchbayError } from '../../preload/errors'
import type { ModelDescription, ModelLocation } from '../../preload/model'
import type { Precision, ProviderChoice } from '../../preload/run'
import { Engine } from '../engine/engine'
import { directories } from './directories'
import { progressLine } from './progress'

export interface ModelOptions {
  model: string
  provider: ProviderChoice
  precision?: Precision
  /** Bytes that the engine may take; all it needs unless given. */
  memoryBudget?: number
}

/** Runs `work` with an engine, and closes the engine however it ends. */
export async function withEngine<T>(work: (engine: Engine, signal: AbortSignal) => Promise<T>): Promise<T> {
  const engine = new Engine(directories())
  const controller = new AbortController()
  const interrupt = (): void =>
    controller.abort(new PatchbayError('run.cancelled', 'Interrupted; nothing half-written was kept.'))
  process.once('SIGINT', interrupt)
  try {
    return await work(engine, controller.signal)
  } finally {
    process.off('SIGINT', interrupt)
    await engine.close()
  }
}

/** Runs `work` on an open model, showing the loading's progress on a terminal. */
export async function withModel<T>(
  options: ModelOptions,
  work: (engine: Engine, model: ModelDescription, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withEngine(async (engine, signal) => {
    const model = await openByName(engine, options, signal)
    return work(engine, model, signal)
  })
}

/** Opens what `--model` names, showing progress on a terminal. */
export async function openByName(
  engine: Engine,
  { model, provider, precision, memoryBudget }: ModelOptions,
  signal?: AbortSignal,
): Promise<ModelDescription> {
  const location = await locate(engine, model)
  const line = progressLine()
  try {
    return await engine.call(
      'model.open',
      { location, provider, precision, memoryBudget },
      { signal, onProgress: (value) => line.show(`${value.stage} ${value.detail}`, value.fraction) },
    )
  } finally {
    line.clear()
  }
}

/**
 * What `--model` names: `storyworld` (or `embedded`), a file or folder, or the name, fingerprint (or its beginning) of a
 * model in the library.
 */
export async function locate(engine: Engine, name: string): Promise<ModelLocation> {
  if (name === 'embedded' || name === 'storyworld') return { kind: 'embedded' }
  if (existsSync(name)) return { kind: 'path', path: path.resolve(name) }
  const entries = await engine.library.list()
  const found = entries.find(
    (entry) => entry.name === name || (name.length >= 8 && entry.fingerprint.startsWith(name)),
  )
  if (found !== undefined) return found.location
  throw new PatchbayError(
    'file.missing',
    `There is no model file, folder or library entry ${JSON.stringify(name)}.`,
    {
      next: 'Give a path, "storyworld", or a name that `patchbay models` lists.',
    },
  )
}
