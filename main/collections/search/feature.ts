/** One feature of a dictionary as what a search looks for. Where features do not compete, only that one is computed. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import { weightShapes, type DictionaryConfig } from '../../training/dictionary/config'
import { Dictionary } from '../../training/dictionary/dictionary'
import { openSaelensFolder, type SavedDictionary } from '../../training/dictionary/saelens-folder'
import type { StoredOutput } from '../schema'
import type { Scorer } from './target'

/** @throws PatchbayError as `openSaelensFolder`; `input.invalid` for a feature or width that the dictionary has not */
export async function featureScorer(
  output: StoredOutput,
  width: number,
  { folder, feature }: { folder: string; feature: number },
): Promise<Scorer> {
  const saved = await openSaelensFolder(folder)
  const { dIn, dSae, activation } = saved.config
  const problem =
    feature >= dSae
      ? `The dictionary has ${dSae} features and no feature ${feature}`
      : dIn !== width
        ? `The dictionary reads ${dIn} numbers, a position at ${output.name} has ${width}`
        : null
  if (problem !== null)
    throw new PatchbayError('input.invalid', `${problem}.`, {
      field: 'target',
      next: 'Use the dictionary at the hook point that it was trained on, and one of its features.',
    })
  const alone = activation !== 'topk'
  const dictionary = await Dictionary.create(alone ? onlyFeature(saved, feature) : saved)
  const column = alone ? 0 : feature
  return {
    what: `feature ${feature} at ${output.name}`,
    slice: [],
    async score({ data }, count) {
      const { features } = await dictionary.run({ shape: [count, dIn], data })
      const size = features.shape[1]
      return Float32Array.from({ length: count }, (_, i) => features.data[i * size + column])
    },
    release: () => dictionary.release(),
  }
}

/** The dictionary of one feature: the same number for it, at 1 / d_sae of the work. */
export function onlyFeature({ config, weights }: SavedDictionary, feature: number): SavedDictionary {
  const one: DictionaryConfig = { ...config, dSae: 1, skip: false }
  const taken = new Map<string, Tensor>()
  for (const [name, shape] of weightShapes(one)) {
    const whole = weights.get(name)
    if (whole === undefined) throw new PatchbayError('internal', `The dictionary lacks ${name}.`)
    taken.set(name, name === 'b_dec' ? whole : { shape, data: partOf(name, whole, feature) })
  }
  return { config: one, weights: taken }
}

/** Column `feature` of W_enc [d_in, d_sae], row of W_dec [d_sae, d_out], element of what has one for each feature. */
function partOf(name: string, { shape, data }: Tensor, feature: number): Float32Array {
  if (name === 'W_enc') {
    const [dIn, dSae] = shape
    return Float32Array.from({ length: dIn }, (_, i) => data[i * dSae + feature])
  }
  if (name === 'W_dec') return data.slice(feature * shape[1], (feature + 1) * shape[1])
  return data.slice(feature, feature + 1)
}
