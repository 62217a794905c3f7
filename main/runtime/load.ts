/** From a checkpoint and its spec to a stack that runs: places the weights, chooses the provider, compiles the blocks. */
import { PatchbayError } from '../../preload/errors'
import type { Precision, Provider, ProviderChoice } from '../../preload/run'
import type { Checkpoint } from '../models/formats/checkpoint'
import type { TransformerSpec } from '../models/spec'
import { placeWeights, type PlacedWeights } from './placement'
import { chooseProvider } from './providers'
import type { Lowering } from './graph/context'
import { BlockStack } from './stack'

export interface LoadRequest {
  readonly checkpoint: Checkpoint
  readonly spec: TransformerSpec
  /** Identifies the checkpoint's content: names the file of converted weights. */
  readonly fingerprint: string
  readonly provider: ProviderChoice
  readonly precision: Precision
  /** Where converted weights may be kept. */
  readonly cacheDir: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: LoadProgress) => void
}

export interface LoadProgress {
  readonly stage: 'preparing weights' | 'testing provider' | 'compiling'
  /** 0 to 1 within the stage. */
  readonly fraction: number
}

export interface LoadedModel {
  readonly stack: BlockStack
  readonly weights: PlacedWeights
  readonly provider: Provider
  /** Why another provider than the chosen one computes, or null. */
  readonly providerNote: string | null
  readonly lowering: Lowering
}

/**
 * Makes a model ready to run.
 * @throws PatchbayError `model.incomplete`, `model.unsupported`, `disk.full`, `run.cancelled`, `run.failed`, `memory.exhausted`
 */
export async function loadModel(request: LoadRequest): Promise<LoadedModel> {
  const { checkpoint, spec, fingerprint, cacheDir, signal, onProgress } = request
  const report = (stage: LoadProgress['stage'], done: number, total: number): void =>
    onProgress?.({ stage, fraction: total === 0 ? 1 : done / total })
  report('preparing weights', 0, 1)
  const weights = await placeWeights({
    checkpoint,
    spec,
    fingerprint,
    cacheDir,
    signal,
    onProgress: (done, total) => report('preparing weights', done, total),
  })
  report('testing provider', 0, 1)
  const { provider, note, lowering } = await chooseProvider(request.provider)
  const made = await compile(provider).catch(async (error: unknown) => {
    if (request.provider !== 'auto' || provider === 'cpu' || !isProvidersFault(error)) throw error
    return { ...(await compile('cpu')), note: `${provider} is not used: ${error.message}` }
  })
  return { weights, lowering, stack: made.stack, provider: made.stack.provider, providerNote: made.note }

  async function compile(on: Provider): Promise<{ stack: BlockStack; note: string | null }> {
    const stack = new BlockStack({ spec, weights, provider: on, lowering })
    try {
      await stack.compile(signal, (done, total) => report('compiling', done, total))
      return { stack, note }
    } catch (error) {
      await stack.release()
      throw error
    }
  }
}

/** A model that an accelerator refuses (too large for it, an operator that it lacks) may still run on the CPU. */
const isProvidersFault = (error: unknown): error is PatchbayError =>
  error instanceof PatchbayError && (error.code === 'run.failed' || error.code === 'memory.exhausted')
