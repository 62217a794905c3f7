/** Statistics of one parameter for the Layers view: how it is spread, and whether anything in it is not a number. */
import type { WeightStatistics } from '../../preload/model'
import { throwIfCancelled } from '../runtime/cancelled'
import { HistogramCounter, Moments } from './statistics'

/** Elements between two turns of the event loop, so that a large embedding does not hold up the engine's messages. */
const CHUNK = 2 ** 22

/**
 * Moments, extremes, Frobenius norm √Σw² and histogram of a weight tensor, accumulated in float64.
 * @param name the parameter's name
 * @param shape outermost first
 * @param data float32, row-major
 * @throws PatchbayError `run.cancelled`
 */
export async function weightStatistics(
  name: string,
  shape: readonly number[],
  data: Float32Array,
  signal?: AbortSignal,
): Promise<WeightStatistics> {
  const moments = new Moments()
  await inChunks(data, (chunk) => moments.add(chunk), signal)
  const { norm, ...summary } = moments.summary()
  const counter = new HistogramCounter(summary)
  await inChunks(data, (chunk) => counter.add(chunk), signal)
  return { name, shape: [...shape], ...summary, frobeniusNorm: norm, histogram: counter.histogram() }
}

async function inChunks(
  data: Float32Array,
  visit: (chunk: Float32Array) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let start = 0; start < data.length; start += CHUNK) {
    if (start > 0) await new Promise((resolve) => setImmediate(resolve))
    throwIfCancelled(signal)
    visit(data.subarray(start, start + CHUNK))
  }
}
