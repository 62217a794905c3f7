/** One probe a layer: where in the model something can be read off. */
import { throwIfCancelled } from '../../runtime/cancelled'
import type { Examples } from './examples'
import { heldOutRows, probeSteps, type ProbeResult, type ProbeSettings } from './probe'
import { finishGently } from './steps'

export interface LayerExamples {
  /** The hook point that the activations are of. */
  readonly hook: string
  readonly examples: Examples
}

export interface CurvePoint {
  readonly hook: string
  readonly result: ProbeResult
}

/**
 * Fits a probe at each hook point, all with the same rows held out. Layers come one after the other, so that one layer's
 * activations are in memory at a time.
 * @throws PatchbayError as `trainProbe`; `run.cancelled`
 */
export async function probeCurve(
  layers: AsyncIterable<LayerExamples> | Iterable<LayerExamples>,
  settings: ProbeSettings,
  options: {
    readonly testRows?: readonly number[]
    readonly signal?: AbortSignal
    readonly onPoint?: (point: CurvePoint) => void | Promise<void>
  } = {},
): Promise<CurvePoint[]> {
  const points: CurvePoint[] = []
  let testRows = options.testRows
  for await (const { hook, examples } of layers) {
    throwIfCancelled(options.signal)
    testRows ??= heldOutRows(examples, settings)
    const steps = probeSteps(examples, settings, testRows)
    const point = { hook, result: await finishGently(steps, options.signal) }
    points.push(point)
    await options.onPoint?.(point)
  }
  return points
}
