/** What jobs need of a model, and their checks of hook points and texts before anything runs. */
import { PatchbayError } from '../../../preload/errors'
import { hookName, type HookPoint } from '../../../preload/hooks'
import type { ModelDescription, ModelSource } from '../../../preload/model'
import type { RunInput, RunResult } from '../../../preload/run'
import { hookOf } from '../../analysis/captures'
import type { ModelFacts, RunOptions } from '../../analysis/subject'
import type { RowEncoder } from '../../datasets'
import type { SteeringModel } from '../../steering/subject'

export interface JobModel extends SteeringModel, RowEncoder {
  readonly facts: ModelFacts
  readonly description: Pick<ModelDescription, 'hookPoints'>
  /** A run past what is kept in memory and on disk, which training would only fill. */
  compute(input: RunInput, options?: RunOptions): Promise<RunResult>
}

/** Gives a model, opened where it is not open. @throws PatchbayError as opening does */
export type OpenJobModel = (source: ModelSource, signal: AbortSignal) => Promise<JobModel>

/** Runs on the model that end when the job is cancelled. */
export const runsOf =
  (model: JobModel, signal: AbortSignal) =>
  (input: RunInput): Promise<RunResult> =>
    model.compute(input, { signal })

/**
 * A hook point of the model by name or alias, and how many numbers a position has there (its further axes joined).
 * @throws PatchbayError `hook.unknown`, `hook.unavailable` also for one whose size depends on the prompt
 */
export function positionwise(
  model: JobModel,
  name: string,
): { point: HookPoint; hook: string; width: number } {
  const point = hookOf(model, name)
  const hook = hookName(point)
  const info = model.description.hookPoints.find((each) => each.name === hook)
  const [, second, ...rest] = info?.dims ?? []
  const sizes = info?.sizes.slice(2) ?? []
  const width = sizes.reduce<number>((product, size) => product * (size ?? NaN), 1)
  if (second !== 'pos' || rest.length === 0 || !Number.isFinite(width))
    throw new PatchbayError('hook.unavailable', `${hook} has no fixed number of values at each position.`, {
      field: 'hook',
      next: 'Choose the residual stream, heads (attn.hook_z) or the MLP.',
    })
  return { point, hook, width }
}
