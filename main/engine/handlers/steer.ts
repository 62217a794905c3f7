/** Making steering vectors, and generating with them. */
import type { PresetEntry } from '../../../preload/api'
import { PatchbayError } from '../../../preload/errors'
import type { PresetSite } from '../../../preload/preset'
import type { Tensor } from '../../../preload/tensor'
import { applyPreset, type VectorOf } from '../../steering/apply'
import { compareGeneration } from '../../steering/compare-generation'
import { presetFromPairs } from '../../steering/from-pairs'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

type SteerCalls = 'steer.fromPairs' | 'steer.compare' | 'steer.interventions'

export const steerHandlers = ({ models, presets }: Engine): HandlerPart<SteerCalls> => ({
  'steer.fromPairs': async ({ model: handle, ...recipe }, { signal, progress }) => {
    const model = await models.get(handle)
    const created = new Date().toISOString()
    const { preset, vectors, measured } = await presetFromPairs(model, recipe, created, {
      signal,
      onPairs: (done, total) => progress({ done, total }),
    })
    const entry = await presets.create(preset, vectors)
    const { norm, residualNorm, positive, negative, accuracy } = measured
    return { entry, vectorNorm: norm, residualNorm, positive, negative, accuracy }
  },
  'steer.compare': async ({ model: handle, preset: id, ...comparison }, { signal, progress }) => {
    const model = await models.get(handle)
    const { preset, vectorOf } = await withVectors(presets, id)
    return compareGeneration(model, { ...comparison, preset, vectorOf }, { signal, onStep: progress })
  },
  'steer.interventions': async ({ model: handle, preset: id, strength }) => {
    const model = await models.get(handle)
    const { preset, vectorOf } = await withVectors(presets, id)
    return applyPreset(model, preset, strength, vectorOf)
  },
})

async function withVectors(
  store: Engine['presets'],
  id: string,
): Promise<PresetEntry & { vectorOf: VectorOf }> {
  const entry = await store.get(id)
  const vectors: ReadonlyMap<PresetSite, Tensor> = await store.vectors(entry)
  return {
    ...entry,
    vectorOf: (site) => {
      const vector = vectors.get(site)
      if (vector === undefined)
        throw new PatchbayError('internal', `A site of the preset ${id} has no vector.`)
      return vector
    },
  }
}
