/** A dictionary as it is being chosen: its texts, what it reconstructs, how large it is, how it is trained. */
import type { ModelDescription } from '../../../preload/model'
import type { BosPolicy } from '../../../preload/prompt'
import type { DictionaryInput, dictionaryKinds } from '../../../preload/training'
import { hasHook, hookAt, middleLayer } from './hook-choices'
import { linesOf } from './lines'

export interface DictionaryDraft {
  from: 'texts' | 'file'
  texts: string
  path: string
  template: 'none' | 'chat'
  bos: BosPolicy
  /** A sparse autoencoder reconstructs what it reads; a transcoder what is computed from it. */
  what: 'autoencoder' | 'transcoder'
  site: string
  /** -1: the middle of the model. */
  layer: number
  outputSite: string
  outputLayer: number
  activation: (typeof dictionaryKinds)[number]
  dSae: number
  k: number
  sparsity: number
  steps: number
  rows: number
  rate: number
  context: number
  firstPosition: number
  deadAfter: number
  checkpointEvery: number
  seed: number
}

export const emptyDictionary = (): DictionaryDraft => ({
  from: 'texts',
  texts: '',
  path: '',
  template: 'none',
  bos: 'model',
  what: 'autoencoder',
  site: 'hook_resid_post',
  layer: -1,
  outputSite: 'hook_mlp_out',
  outputLayer: -1,
  activation: 'topk',
  dSae: 1024,
  k: 32,
  sparsity: 1,
  steps: 1000,
  rows: 256,
  rate: 3e-4,
  context: 128,
  firstPosition: 1,
  deadAfter: 100_000,
  checkpointEvery: 200,
  seed: 0,
})

/** SAELens, in whose files a dictionary is saved, has names for these transcoders only. */
export const isSaved = (kind: DictionaryDraft['activation'], what: DictionaryDraft['what']): boolean =>
  what === 'autoencoder' || kind === 'standard' || kind === 'jumprelu'

/** Another model may have been opened meanwhile, with fewer layers. */
export const layerIn = (layer: number, model: ModelDescription): number =>
  layer >= 0 && layer < model.layers ? layer : middleLayer(model)

const inputHook = ({ layer, site }: DictionaryDraft, model: ModelDescription): string =>
  hookAt(layerIn(layer, model), site)
const outputHook = ({ outputLayer, outputSite }: DictionaryDraft, model: ModelDescription): string =>
  hookAt(layerIn(outputLayer, model), outputSite)

/** What is still missing, in a sentence; null when it can be trained. */
export function missingOfDictionary(draft: DictionaryDraft, model: ModelDescription): string | null {
  if (draft.from === 'file') {
    if (draft.path === '') return 'Choose the file or folder of the texts.'
  } else if (linesOf(draft.texts).length < 2) return 'Write at least two texts.'
  const hooks = [inputHook(draft, model), ...(draft.what === 'transcoder' ? [outputHook(draft, model)] : [])]
  const unknown = hooks.find((hook) => !hasHook(model, hook))
  if (unknown !== undefined) return `This model has no ${unknown}.`
  if (draft.what === 'transcoder' && hooks[0] === hooks[1])
    return 'A transcoder writes at another hook point than it reads.'
  if (!isSaved(draft.activation, draft.what)) return 'SAELens has no transcoder of this kind.'
  if (draft.activation === 'topk' && draft.k > draft.dSae) return 'k is larger than the number of features.'
  return draft.firstPosition >= draft.context ? 'All positions of a text are left out.' : null
}

export function dictionaryOf(draft: DictionaryDraft, model: ModelDescription): DictionaryInput {
  const { dSae, k, sparsity, activation, steps, rows, rate, context, firstPosition, seed } = draft
  const { deadAfter, checkpointEvery, template, bos } = draft
  return {
    model: model.source,
    texts:
      draft.from === 'file'
        ? { kind: 'file', path: draft.path }
        : { kind: 'texts', texts: linesOf(draft.texts) },
    hook: inputHook(draft, model),
    outputHook: draft.what === 'transcoder' ? outputHook(draft, model) : null,
    ...{ activation, dSae, k, sparsity, steps, rows, rate, context, firstPosition, seed },
    ...{ deadAfter, checkpointEvery, template, bos },
  }
}
