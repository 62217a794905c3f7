/** The hook points that an extraction names: by name, by alias, or with `*` for every layer. */
import { PatchbayError } from '../../preload/errors'
import { parseHook } from '../../preload/hooks'
import type { Hook } from '../runtime'
import type { ExtractionModel } from './subject'

const EVERY_LAYER = /^blocks\.\*\./

/**
 * Each once, in the order of the names, layers ascending.
 * @throws PatchbayError `hook.unknown` with the nearest names, `hook.unavailable` for one that this model does not have, for
 *   a pattern that no layer has, and for a value that all rows of a batch share
 */
export function resolveHooks(model: ExtractionModel, names: readonly string[]): Hook[] {
  const found = new Map<string, Hook>()
  for (const name of names)
    for (const hook of EVERY_LAYER.test(name) ? everyLayer(model, name) : [model.runnable.hook(name)]) {
      if (hook.shared || hook.dims[0] !== 'batch')
        throw new PatchbayError('hook.unavailable', `${hook.name} holds no value of single rows.`, {
          field: name,
          next: 'Choose a hook point whose first axis is the batch.',
        })
      found.set(hook.name, hook)
    }
  return [...found.values()]
}

function everyLayer(model: ExtractionModel, name: string): Hook[] {
  const { layers } = model.facts
  const named = Array.from({ length: layers }, (_, layer) => name.replace('*', String(layer)))
  // Names that mean nothing are told apart from those that some layers do not have.
  if (named.length > 0 && parseHook(named[0]) === null) return [model.runnable.hook(named[0])]
  const found = named.flatMap((one) => {
    try {
      return [model.runnable.hook(one)]
    } catch (error) {
      if (error instanceof PatchbayError && error.code === 'hook.unavailable') return []
      throw error
    }
  })
  if (found.length > 0) return found
  throw new PatchbayError('hook.unavailable', `No layer of ${model.facts.name} has a hook point ${name}.`, {
    field: name,
    next: 'Choose one of the hook points that the Layers view lists.',
  })
}

/** The block that computes a hook point; −1 for what is before the first, the number of blocks for what is behind the last. */
export function layerOf(name: string, layers: number): number {
  const point = parseHook(name)
  if (point === null) return layers
  return point.layer ?? (point.site.startsWith('ln_final') ? layers : -1)
}
