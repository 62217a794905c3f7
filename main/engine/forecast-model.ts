/** What opening a model will take of memory: read from its headers and configuration alone. */
import type { ModelForecast } from '../../preload/forecast'
import type { ModelSource } from '../../preload/model'
import { readSpec } from '../models/architectures/registry'
import { openCheckpoint } from '../models/formats/checkpoint'
import { findOnnx } from '../models/formats/onnx/find'
import { availableMemory, choicesWithin, fitsWithin, forecastMemory, memoryAdvice } from '../runtime'
import { placeOf } from './opening'

/**
 * @param available bytes that the engine process may take
 * @returns null for a graph that somebody else exported: what that takes is not known before it was compiled
 * @throws PatchbayError what is wrong with the files, or an architecture that is not known
 */
export async function forecastModel(
  { location, precision, memoryBudget }: ModelSource,
  assetsDir: string,
  available = availableMemory(),
): Promise<ModelForecast | null> {
  const place = placeOf(location, assetsDir)
  if ((await findOnnx(place)) !== null) return null
  const checkpoint = await openCheckpoint(place)
  try {
    const forecasts = forecastMemory(checkpoint, await readSpec(checkpoint))
    return {
      forecasts,
      available,
      fits: fitsWithin(forecasts, { precision, memoryBudget }, available),
      choices: choicesWithin(forecasts, available),
      advice: memoryAdvice(forecasts, available),
    }
  } finally {
    await checkpoint.close()
  }
}
