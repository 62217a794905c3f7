/**
 * Steering vectors by optimisation: a vector that, added to the residual stream, raises the probability of some
 * continuations and lowers that of others, over any number of prompts, and is no longer than it may be.
 */
import { z } from 'zod'
import { hookName, isResidual, parseHook } from '../../../preload/hooks'
import { PatchbayError } from '../../../preload/errors'
import { train, type LoopOptions } from '../loop/loop'
import type { LoopOutcome } from '../loop/types'
import { checkSteeringExamples, steeredPositions, type SteeringExample } from './examples'
import { lossOf } from './objective'
import { normOf, steeredLogProbabilities, SteeringTask, type SteeringSite } from './task'

const count = z.number().int().positive()

export const steeringSettings = z.object({
  /** Largest L2 norm of the vector. */
  maxNorm: z.number().positive(),
  positions: steeredPositions.default('all'),
  /** Positions before it are not steered. */
  firstPosition: z.number().int().nonnegative().default(0),
  steps: count.default(50),
  /** Examples that are run together for one update. */
  batch: count.max(4096).default(16),
  /** Peak learning rate; by default the vector can reach its norm in some ten steps. */
  rate: z.number().positive().optional(),
  seed: z.number().int().nonnegative().default(0),
  checkpointEvery: count.default(25),
})
export type SteeringSettings = z.infer<typeof steeringSettings>

/** Where in the model, and by what it is run. */
export type SteeringModel = Pick<SteeringSite, 'run' | 'model' | 'hook' | 'width'>

export type SteeringTraining = Pick<
  LoopOptions,
  'checkpoint' | 'resume' | 'signal' | 'pause' | 'onStep' | 'onCheckpoint' | 'fs'
>

/** Of examples with one aim: mean over them of exp(log P / tokens), the geometric mean of their tokens' probabilities. */
export interface SteeringEffect {
  readonly raised: number | null
  readonly lowered: number | null
  readonly loss: number
}

export interface OptimisedVector {
  readonly outcome: LoopOutcome
  /** [d_model] */
  readonly vector: Float32Array
  readonly norm: number
  readonly before: SteeringEffect
  readonly after: SteeringEffect
}

/**
 * @throws PatchbayError `hook.unavailable` off the residual stream, `input.invalid` for examples that can not be steered,
 *   and what `train` and runs throw
 */
export async function optimiseSteering(
  model: SteeringModel,
  examples: readonly SteeringExample[],
  settings: SteeringSettings,
  options: SteeringTraining = {},
): Promise<OptimisedVector> {
  const { positions, firstPosition, maxNorm, batch, seed, steps, checkpointEvery } = settings
  const point = parseHook(model.hook)
  if (point === null || !isResidual(point))
    throw new PatchbayError('hook.unavailable', `A steering vector can not be made at ${model.hook}.`, {
      field: 'hook',
      next: 'Choose a hook point on the residual stream: hook_resid_pre, hook_resid_mid or hook_resid_post.',
    })
  checkSteeringExamples(examples, positions, firstPosition)
  const site = { ...model, hook: hookName(point), positions, firstPosition }
  const task = new SteeringTask(site, examples, batch, maxNorm, seed)
  const rate = settings.rate ?? maxNorm / (10 * Math.sqrt(model.width))
  const before = await steeringEffect(site, examples, new Float32Array(model.width), batch)
  const outcome = await train(
    task,
    {
      steps,
      accumulate: 1,
      schedule: { peak: rate, warmUp: 0, floor: 0.1 },
      clip: null,
      optimiser: { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, groupOf: () => ({ weightDecay: 0 }) },
      checkpointEvery,
      evaluateEvery: null,
    },
    { ...options, identity: identityOf(site, examples, settings) },
  )
  const { vector } = task
  const after = await steeringEffect(site, examples, vector, batch)
  return { outcome, vector, norm: normOf(vector), before, after }
}

/** What a vector does to examples, which may be others than it was optimised for. */
export async function steeringEffect(
  site: SteeringSite,
  examples: readonly SteeringExample[],
  vector: Float32Array,
  batch = 16,
): Promise<SteeringEffect> {
  let loss = 0
  const probabilities: Record<SteeringExample['aim'], number[]> = { raise: [], lower: [] }
  for (let start = 0; start < examples.length; start += batch) {
    const some = examples.slice(start, start + batch)
    const logs = await steeredLogProbabilities(site, some, vector)
    some.forEach((example, i) => {
      loss += lossOf(example, logs[i]).loss / examples.length
      probabilities[example.aim].push(Math.exp(logs[i] / example.continuation.length))
    })
  }
  const mean = (values: readonly number[]): number | null =>
    values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length
  return { raised: mean(probabilities.raise), lowered: mean(probabilities.lower), loss }
}

function identityOf(
  { model, hook }: SteeringSite,
  examples: readonly SteeringExample[],
  settings: SteeringSettings,
): string {
  // How often it is saved is free to change.
  return JSON.stringify({ what: 'steering', model, hook, examples, ...settings, checkpointEvery: undefined })
}
