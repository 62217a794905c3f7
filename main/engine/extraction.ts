/** What extractions need of the engine: models opened within memory, and presets as directions. */
import { canonicalJson } from '../../preload/canonical'
import { PatchbayError } from '../../preload/errors'
import type { ModelSource } from '../../preload/model'
import type { Tensor } from '../../preload/tensor'
import { availableMemory } from '../runtime'
import type { PresetStore } from '../steering/preset-store'
import type { Engine } from './engine'
import { forecastModel } from './forecast-model'
import type { OpenModel } from './open-model'

/**
 * Opens a model so that the process stays within `memory` bytes (within what is free where that is null): block by block
 * where it does not fit as a whole.
 * @throws PatchbayError `memory.exhausted` where not even that is possible, and what opening throws
 */
export async function openWithin(
  { models, assetsDir }: Pick<Engine, 'models' | 'assetsDir'>,
  source: ModelSource,
  memory: number | null,
  signal: AbortSignal,
): Promise<OpenModel> {
  if (source.memoryBudget !== null && memory === null) return models.open(source, { signal })
  // What is open already takes no more.
  const asked = canonicalJson(source)
  if (memory === null && models.sources().some((open) => canonicalJson(open) === asked))
    return models.open(source, { signal })
  const available = memory ?? availableMemory()
  const forecast = await forecastModel(source, assetsDir, available)
  const fits = forecast === null || (forecast.fits && source.memoryBudget === null)
  return models.open(fits ? source : { ...source, memoryBudget: Math.floor(available) }, { signal })
}

/**
 * The vectors of a preset as rows [n, d], one for each of its places.
 * @throws PatchbayError `input.invalid` for vectors of several widths, and as the preset store does
 */
export async function directionsOf(presets: PresetStore, id: string): Promise<Tensor> {
  const vectors = [...(await presets.vectors(await presets.get(id))).values()]
  const [width] = vectors[0].shape
  if (vectors.some(({ shape }) => shape[0] !== width))
    throw new PatchbayError('input.invalid', `The vectors of the preset ${id} are not equally wide.`, {
      field: 'reduction.directions',
      next: 'Choose a preset of one model.',
    })
  const data = new Float32Array(vectors.length * width)
  vectors.forEach((vector, row) => data.set(vector.data, row * width))
  return { shape: [vectors.length, width], data }
}
