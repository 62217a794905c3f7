/**
 * How much memory a model will take, before anything of it is loaded, and what that means for the precision and the
 * memory budget to open it with.
 */
import { PatchbayError } from '../../preload/errors'
import type { FittingChoice, MemoryForecast } from '../../preload/forecast'
import { precisions, type Precision } from '../../preload/run'
import type { Checkpoint } from '../models/formats/checkpoint'
import { weightsOf, type TransformerSpec } from '../models/spec'
import type { Weight } from '../models/weights'
import type { PackedLayout } from '../models/quantised'
import { packedLayouts, weightBytes } from './placement'
import { SESSION_BYTES } from './session-pool'

export type { MemoryForecast }

/** Measured: the engine process with an open tokenizer and no session. */
const ENGINE_BYTES = 150e6
/** What runs are given: activations, keys and values, logits; V8 collects those of earlier runs only at some 64 MB. */
const WORK_BYTES = 110e6

/**
 * Bytes of the engine process in each precision that the model can be opened in: the process itself, room for runs, a
 * session for each block and for the unembedding, each with its weights once (rearranged for speed or mapped from their
 * file; the embedding is only mapped, and few of its rows are ever touched). Reads no weights.
 * @throws PatchbayError `model.incomplete`, `model.unsupported` where the checkpoint does not fit the spec
 */
export function forecastMemory(checkpoint: Checkpoint, spec: TransformerSpec): MemoryForecast[] {
  return precisions.flatMap((precision) => {
    const layouts =
      precision === 'quantised' ? packedLayouts(checkpoint, spec) : new Map<string, PackedLayout>()
    if (precision === 'quantised' && layouts.size === 0) return []
    const parts = partsOf(spec, (weights) => weightBytes(weights, layouts)).map(({ bytes }) => bytes)
    const around = ENGINE_BYTES + WORK_BYTES
    const whole = around + parts.reduce((sum, bytes) => sum + bytes, 0)
    return [{ precision, whole, least: around + Math.max(...parts) }]
  })
}

/** Bytes that sessions may take under a budget for the whole process. */
export const sessionBytesUnder = (budget: number): number => Math.max(0, budget - ENGINE_BYTES - WORK_BYTES)

export interface Part {
  /** A block's number, or the unembedding. */
  readonly part: number | 'unembedding'
  readonly bytes: number
}

/** The parts of a model that are compiled each on its own, with the bytes of their sessions. */
export function partsOf(spec: TransformerSpec, bytesOf: (weights: readonly Weight[]) => number): Part[] {
  const part = (name: Part['part'], of: Parameters<typeof weightsOf>[0]): Part => ({
    part: name,
    bytes: SESSION_BYTES + bytesOf(weightsOf(of)),
  })
  return [...spec.blocks.map((block, layer) => part(layer, block)), part('unembedding', spec.unembedding)]
}

/**
 * What to do where memory is short, in a sentence.
 * @param available bytes that the engine may take
 */
export function memoryAdvice(forecasts: readonly MemoryForecast[], available: number): string {
  const best = choicesWithin(forecasts, available).at(0)
  if (best?.memoryBudget === null)
    return `Open it in ${best.precision}, which takes about ${megabytes(best.bytes)}.`
  if (best !== undefined)
    return `Open it in ${best.precision} with a memory budget of ${megabytes(available)}: blocks are then loaded as they are needed.`
  const [least] = [...forecasts].sort((a, b) => a.least - b.least)
  return `It needs a memory budget of ${megabytes(least.least)} at the least, in ${least.precision}.`
}

/** @throws PatchbayError `memory.exhausted`, saying what will fit, where a budget is too small for a precision */
export function requireBudget(
  forecasts: readonly MemoryForecast[],
  precision: Precision,
  budget: number,
): void {
  const own = forecasts.find((one) => one.precision === precision)
  if (own === undefined || own.least <= budget) return
  throw new PatchbayError(
    'memory.exhausted',
    `A memory budget of ${megabytes(budget)} is too small for this model in ${precision}, which needs ${megabytes(own.least)} even block by block.`,
    { next: memoryAdvice(forecasts, budget), field: 'memoryBudget' },
  )
}

/**
 * Ways to open a model within memory, the best first: whole in the most exact precision that fits, else block by block.
 * @param available bytes that the engine may take
 */
export function choicesWithin(forecasts: readonly MemoryForecast[], available: number): FittingChoice[] {
  const whole = forecasts.filter((one) => one.whole <= available)
  const parts = forecasts.filter((one) => one.whole > available && one.least <= available)
  const memoryBudget = Math.floor(available)
  return [
    ...whole.map(({ precision, whole: bytes }) => ({ precision, memoryBudget: null, bytes })),
    ...parts.map(({ precision }) => ({ precision, memoryBudget, bytes: memoryBudget })),
  ]
}

/** Whether a model fits as it is asked for. One that does not exist in that precision is for others to refuse. */
export function fitsWithin(
  forecasts: readonly MemoryForecast[],
  { precision, memoryBudget }: Pick<FittingChoice, 'precision' | 'memoryBudget'>,
  available: number,
): boolean {
  const own = forecasts.find((one) => one.precision === precision)
  if (own === undefined) return true
  return memoryBudget === null
    ? own.whole <= available
    : own.least <= memoryBudget && Math.min(own.whole, memoryBudget) <= available
}

/**
 * Bytes that this process may take with one more model: what it may still grow by, and what it takes already without
 * any. Memory of models that are open counts as taken.
 */
export const availableMemory = (): number =>
  process.availableMemory() + Math.min(process.memoryUsage.rss(), ENGINE_BYTES + WORK_BYTES)

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`
