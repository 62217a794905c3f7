/** From a checkpoint and its spec to a stack that runs: places the weights, chooses the provider, compiles the blocks. */
import { PatchbayError } from '../../preload/errors'
import type { Precision, Provider, ProviderChoice } from '../../preload/run'
import type { Checkpoint } from '../models/formats/checkpoint'
import type { TransformerSpec } from '../models/spec'
import { compileOn } from './compile'
import {
  availableMemory,
  forecastMemory,
  memoryAdvice,
  requireBudget,
  sessionBytesUnder,
  type MemoryForecast,
} from './forecast'
import { placeWeights, type PlacedWeights } from './placement'
import type { Lowering } from './graph/context'
import { BlockStack } from './stack'

export interface LoadRequest {
  readonly checkpoint: Checkpoint
  readonly spec: TransformerSpec
  /** Identifies the checkpoint's content: names the file of converted weights. */
  readonly fingerprint: string
  readonly provider: ProviderChoice
  readonly precision: Precision
  /** Bytes that the engine process may take; null and undefined: whatever it needs. */
  readonly memoryBudget?: number | null
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
  /** What it takes in each precision that it can be opened in. */
  readonly forecasts: readonly MemoryForecast[]
  /** Bytes that the engine process may take with it, or null. */
  readonly memoryBudget: number | null
}

/**
 * Makes a model ready to run.
 * @throws PatchbayError `model.incomplete`, `model.unsupported`, `disk.full`, `run.cancelled`, `run.failed`, `memory.exhausted`
 */
export async function loadModel(request: LoadRequest): Promise<LoadedModel> {
  const { checkpoint, spec, fingerprint, precision, cacheDir, signal, onProgress } = request
  const report = (stage: LoadProgress['stage'], done: number, total: number): void =>
    onProgress?.({ stage, fraction: total === 0 ? 1 : done / total })
  const memoryBudget = request.memoryBudget ?? null
  const forecasts = forecastMemory(checkpoint, spec)
  if (memoryBudget !== null) requireBudget(forecasts, precision, memoryBudget)
  const sessionBytes = memoryBudget === null ? undefined : sessionBytesUnder(memoryBudget)
  report('preparing weights', 0, 1)
  const weights = await placeWeights({
    checkpoint,
    spec,
    fingerprint,
    precision,
    cacheDir,
    readTokenRows: sessionBytes !== undefined,
    signal,
    onProgress: (done, total) => report('preparing weights', done, total),
  })
  const { stack, lowering, note } = await compileOn(
    request.provider,
    (provider, chosen) => new BlockStack({ spec, weights, provider, lowering: chosen, sessionBytes }),
    { signal, onProgress: (stage, fraction) => onProgress?.({ stage, fraction }) },
  ).catch((error: unknown) => {
    throw withAdvice(error, forecasts)
  })
  return { weights, lowering, stack, provider: stack.provider, providerNote: note, forecasts, memoryBudget }
}

/** Where there was not enough memory: what would fit into what the machine has. */
function withAdvice(error: unknown, forecasts: readonly MemoryForecast[]): unknown {
  if (!(error instanceof PatchbayError) || error.code !== 'memory.exhausted') return error
  return new PatchbayError(error.code, error.message, {
    next: memoryAdvice(forecasts, availableMemory()),
    cause: error,
  })
}
