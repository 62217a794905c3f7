/** Runs with a backward pass: the metric of each row, and gradients at hook points beside their activations. */
import { PatchbayError } from '../../../preload/errors'
import { runRequest, type RunInput, type RunRequestInput } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import type { Evidence } from '../../../preload/views'
import { evidenceOf } from '../evidence'
import type { AnalysisModel, RunOptions } from '../subject'
import { differentiable, type PlacedMetric } from './metric'

export interface GradientRequest {
  rows: RunRequestInput['rows']
  /** Of every row. */
  metric: PlacedMetric
  /** Hook points whose gradients are wanted. */
  hooks: readonly string[]
  /** Hook points whose activations are wanted. */
  captures?: readonly string[]
  /** Residual streams [batch, pos, d_model] to start from at the input of block 0, instead of the rows' embeddings. */
  residual?: Tensor
}

export interface Gradients {
  readonly evidence: Evidence
  /** [batch] */
  readonly metrics: Float32Array
  /** [batch, …] of a hook point */
  gradient(hook: string): Tensor
  activation(hook: string): Tensor
}

/**
 * One forward and one backward pass over all rows.
 * @throws PatchbayError what the run throws, such as `hook.unavailable` for a model that can not be differentiated there
 */
export async function gradientsOf(
  model: AnalysisModel,
  { rows, metric, hooks, captures = [], residual }: GradientRequest,
  options: RunOptions = {},
): Promise<Gradients> {
  const input: RunInput = {
    request: runRequest.parse({
      model: model.facts.fingerprint,
      rows,
      captures: [...captures],
      logits: 'none',
      backward: { metric: differentiable(metric), hooks: [...hooks] },
      ...(residual === undefined ? {} : { start: { layer: 0, residual: 'residual' } }),
    } satisfies RunRequestInput),
    tensors: residual === undefined ? {} : { residual },
  }
  const result = await model.run(input, options)
  const found = (values: Readonly<Record<string, Tensor>>, hook: string): Tensor => {
    if (Object.hasOwn(values, hook)) return values[hook]
    throw new PatchbayError('internal', `The run did not return what was asked for at ${hook}.`)
  }
  if (result.metric === null) throw new PatchbayError('internal', 'The run gave no metric.')
  return {
    evidence: evidenceOf(model, input),
    metrics: result.metric.data,
    gradient: (hook) => found(result.gradients, hook),
    activation: (hook) => found(result.captures, hook),
  }
}
