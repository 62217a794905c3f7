/** Trains a sparse autoencoder or a transcoder on a stream of activations, resumable, and gives it out. */
import { PatchbayError } from '../../../preload/errors'
import { train, type LoopOptions } from '../loop/loop'
import type { LoopOutcome, LoopSettings } from '../loop/types'
import type { ActivationSource } from '../stream/source'
import type { DictionaryConfig } from './config'
import type { SavedDictionary } from './saelens-folder'
import type { DictionarySettings } from './settings'
import { DictionaryTask } from './task'

/** What the activations are of. */
export interface Provenance {
  readonly modelName: string | null
  /** Fingerprint of the model; a checkpoint of another one is not resumed. */
  readonly fingerprint: string
  readonly hook: string
  /** Of a transcoder. */
  readonly outputHook: string | null
  readonly prependBos: boolean | null
}

export type DictionaryTraining = Pick<
  LoopOptions,
  'checkpoint' | 'resume' | 'signal' | 'pause' | 'onStep' | 'onCheckpoint' | 'fs'
>

/**
 * @throws PatchbayError `input.invalid` for settings that do not fit the activations, for no activations or such as are no
 *   numbers; and what `train` throws
 */
export async function trainDictionary(
  source: ActivationSource,
  settings: DictionarySettings,
  provenance: Provenance,
  options: DictionaryTraining = {},
): Promise<{ outcome: LoopOutcome; dictionary: SavedDictionary }> {
  const config = configOf(source, settings, provenance)
  const task = await DictionaryTask.create(config, settings, source)
  try {
    // How often it is saved is free to change.
    const kept = { ...settings, checkpointEvery: undefined }
    const identity = JSON.stringify({ what: 'dictionary', ...kept, ...provenance, config })
    const outcome = await train(task, loopSettings(settings), { ...options, identity })
    return { outcome, dictionary: task.dictionary() }
  } finally {
    await task.release()
  }
}

/** No weight decay: penalties and norms say what weights may be. */
const loopSettings = (settings: DictionarySettings): LoopSettings => ({
  steps: settings.steps,
  accumulate: 1,
  schedule: { peak: settings.rate, warmUp: settings.warmUp, floor: settings.floor },
  clip: settings.clip,
  optimiser: { beta1: settings.beta1, beta2: 0.999, epsilon: 1e-8, groupOf: () => ({ weightDecay: 0 }) },
  checkpointEvery: settings.checkpointEvery,
  evaluateEvery: null,
})

function configOf(
  { dIn, dOut }: ActivationSource,
  { activation, dSae, k, skip }: DictionarySettings,
  { hook, outputHook, modelName, prependBos }: Provenance,
): DictionaryConfig {
  const transcoder = dOut !== null
  const refused = (message: string, field: string): PatchbayError =>
    new PatchbayError('input.invalid', message, { field, next: 'Correct the setting.' })
  if (activation === 'topk' && k > dSae) throw refused(`${k} of ${dSae} features can not be active.`, 'k')
  if (skip && !transcoder) throw refused('Only a transcoder has a skip connection.', 'skip')
  return {
    activation,
    dIn,
    dOut: dOut ?? dIn,
    dSae,
    subtractDecoderBias: !transcoder,
    normalise: 'none',
    k: activation === 'topk' ? k : null,
    rescaleByDecoderNorm: false,
    transcoder,
    skip,
    hook,
    outputHook: transcoder ? outputHook : null,
    joinsHeads: false,
    modelName,
    prependBos,
  }
}
