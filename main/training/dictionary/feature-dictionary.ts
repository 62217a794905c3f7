/** A dictionary from disk as patching sees it: feature by feature, each with what it writes. */
import { createHash } from 'node:crypto'
import { PatchbayError } from '../../../preload/errors'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import type { FeatureDictionary } from '../../analysis/patching/features'
import type { DictionaryConfig } from './config'
import { rowNorm } from './decoder'
import { Dictionary } from './dictionary'
import { openSaelensFolder, type SavedDictionary } from './saelens-folder'

export interface OpenFeatures extends FeatureDictionary {
  /** Of configuration and weights. */
  readonly hash: string
  release(): Promise<void>
}

/**
 * Opens a SAELens folder.
 * @throws PatchbayError as `openSaelensFolder` and `Dictionary.create`
 */
export async function openFeatures(folder: string): Promise<OpenFeatures> {
  const saved = await openSaelensFolder(folder)
  const { config, weights } = saved
  const decoder = weights.get('W_dec')
  if (decoder === undefined) throw new PatchbayError('internal', 'The dictionary has no W_dec.')
  const dictionary = await Dictionary.create(saved)
  const { hook, outputHook, dIn, dOut, dSae } = config
  return {
    hook,
    // What a transcoder writes has its own place, which older files do not name.
    outputHook: config.transcoder ? outputOf(config) : outputHook,
    dIn,
    dOut,
    dSae,
    hash: hashOf(saved),
    encode: async ({ shape, data }) =>
      (await dictionary.run({ shape: [shape[0], sizeOf(shape.slice(1))], data })).features,
    direction: (feature) => directionOf(config, decoder.data, feature),
    scales: (x) => scalesOf(config, x),
    release: () => dictionary.release(),
  }
}

function outputOf({ outputHook }: DictionaryConfig): string {
  if (outputHook !== null) return outputHook
  throw new PatchbayError('input.invalid', 'The transcoder does not say at which hook point it writes.', {
    next: 'Choose one whose cfg.json has hook_name_out.',
    field: 'target.dictionary',
  })
}

function hashOf({ config, weights }: SavedDictionary): string {
  const hash = createHash('sha256').update(JSON.stringify(config))
  for (const [name, { data }] of weights)
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return hash.digest('hex')
}

/** Row of W_dec, of length 1 where features are counted in units of its norm. */
function directionOf(
  { dOut, rescaleByDecoderNorm }: DictionaryConfig,
  decoder: Float32Array,
  feature: number,
): Float32Array {
  const start = feature * dOut
  const norm = rescaleByDecoderNorm ? rowNorm(decoder, start, dOut) : 1
  return decoder.slice(start, start + dOut).map((value) => value / norm)
}

/** What `decodeNodes` multiplies a reconstruction by, row by row. */
function scalesOf({ normalise, transcoder, dIn }: DictionaryConfig, { shape, data }: Tensor): Float64Array {
  const scales = new Float64Array(shape[0]).fill(1)
  if (normalise === 'none' || transcoder) return scales
  return scales.map((_, row) => {
    const x = data.subarray(row * dIn, (row + 1) * dIn)
    const mean = normalise === 'layer-norm' ? x.reduce((sum, value) => sum + value, 0) / dIn : 0
    const square = x.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    return Math.sqrt(square / (normalise === 'layer-norm' ? dIn - 1 : dIn))
  })
}
