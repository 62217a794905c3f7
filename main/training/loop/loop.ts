/**
 * The training loop: micro-batches, averaged gradients, clipping, AdamW, schedule, curve, evaluation and checkpoints. A
 * checkpoint holds everything that later steps depend on, so a run that is killed and resumed ends with the very weights
 * of one that was not.
 */
import { PatchbayError } from '../../../preload/errors'
import type { DurableOptions } from '../../files/durable-file'
import { loadCheckpoint, saveCheckpoint } from '../checkpoint'
import { AdamW } from '../optimiser/adamw'
import { accumulated, clipFactor, firstNotFinite, globalNorm } from '../optimiser/clip'
import { rateAt } from '../optimiser/schedule'
import { Curve } from './curve'
import { packState, unpackState, type LoopState } from './state'
import type { EvaluationRecord, LoopOutcome, LoopSettings, StepRecord, TrainingTask } from './types'

export interface LoopOptions {
  /** Where the checkpoint lies; none is written without it. */
  readonly checkpoint?: string
  /** Names what is trained and how; a checkpoint of something else is refused. */
  readonly identity: string
  /** Goes on from the checkpoint, if there is one. */
  readonly resume?: boolean
  /** Stops without a checkpoint. */
  readonly signal?: AbortSignal
  /** Stops behind a checkpoint. */
  readonly pause?: AbortSignal
  readonly onStep?: (record: StepRecord, curve: Curve) => void
  readonly onEvaluation?: (record: EvaluationRecord, curve: Curve) => void
  /** Called after each checkpoint is whole. */
  readonly onCheckpoint?: (step: number, curve: Curve) => Promise<void> | void
  readonly fs?: DurableOptions['fs']
}

/**
 * Trains to the last step, or until it is paused or cancelled.
 * @throws PatchbayError `run.failed` where the loss or a gradient is no number (the last good checkpoint stays),
 *   `run.cancelled`, `disk.full` where a checkpoint finds no room (the one before stays), `model.mismatch` for the
 *   checkpoint of another run, and what the task throws
 */
export async function train<Batch>(
  task: TrainingTask<Batch>,
  settings: LoopSettings,
  options: LoopOptions,
): Promise<LoopOutcome> {
  const loop = new Loop(task, settings, options)
  await loop.resume()
  return loop.run()
}

class Loop<Batch> {
  readonly #optimiser: AdamW
  readonly #curve = new Curve()
  #step = 0
  #savedAt: number | null = null

  constructor(
    private readonly task: TrainingTask<Batch>,
    private readonly settings: LoopSettings,
    private readonly options: LoopOptions,
  ) {
    this.#optimiser = new AdamW(task.parameters, settings.optimiser)
  }

  async resume(): Promise<void> {
    const { checkpoint, resume, identity } = this.options
    if (checkpoint === undefined || resume !== true) return
    const saved = await loadCheckpoint(checkpoint)
    if (saved === null) return
    this.#step = unpackState(saved, this.#state(), identity, checkpoint)
    this.#savedAt = this.#step
  }

  async run(): Promise<LoopOutcome> {
    const { steps, checkpointEvery, evaluateEvery } = this.settings
    while (this.#step < steps) {
      throwIfCancelled(this.options.signal)
      if (this.options.pause?.aborted === true) {
        await this.#checkpoint()
        return { kind: 'paused', step: this.#step }
      }
      const record = await this.#update()
      if (record === null) {
        await this.#checkpoint()
        return { kind: 'ended', step: this.#step }
      }
      const last = this.#step === steps
      const due = evaluateEvery !== null && (last || this.#step % evaluateEvery === 0)
      if (due) await this.#evaluate()
      if (last || this.#step % checkpointEvery === 0) await this.#checkpoint()
    }
    return { kind: 'done', step: this.#step }
  }

  /** One update; null where the data has ended. */
  async #update(): Promise<StepRecord | null> {
    const { accumulate, clip, schedule, steps } = this.settings
    const step = this.#step
    let gradients: Map<string, Float32Array> | null = null
    let loss = 0
    const metrics = new Map<string, number>()
    for (let i = 0; i < accumulate; i++) {
      const batch = await this.task.next()
      if (batch === null) return null
      const result = await this.task.compute(batch)
      loss += result.loss / accumulate
      for (const [name, value] of Object.entries(result.metrics ?? {}))
        metrics.set(name, (metrics.get(name) ?? 0) + value / accumulate)
      gradients = accumulate === 1 ? new Map(result.gradients) : accumulated(gradients, result.gradients)
    }
    if (gradients === null) return null
    this.task.beforeUpdate?.(gradients)
    const gradientNorm = globalNorm(gradients) / accumulate
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) throw this.#notFinite(step, loss, gradients)
    const rate = rateAt(schedule, step, steps)
    this.#optimiser.update(gradients, rate, clipFactor(gradientNorm, clip) / accumulate)
    this.#step++
    await this.task.afterUpdate?.(step, this.#optimiser)
    const record = { step, loss, rate, gradientNorm, metrics: Object.fromEntries(metrics) }
    this.#curve.add(record)
    this.options.onStep?.(record, this.#curve)
    return record
  }

  async #evaluate(): Promise<void> {
    if (this.task.evaluate === undefined) return
    const record = { step: this.#step, values: await this.task.evaluate(this.#step) }
    this.#curve.evaluations.push(record)
    this.options.onEvaluation?.(record, this.#curve)
  }

  async #checkpoint(): Promise<void> {
    const { checkpoint, identity, fs, onCheckpoint } = this.options
    if (checkpoint === undefined || this.#savedAt === this.#step) return
    await saveCheckpoint(checkpoint, packState(this.#state(), identity, this.#step), { fs }).catch(
      (error: unknown) => {
        throw this.#withoutRoom(error)
      },
    )
    this.#savedAt = this.#step
    await onCheckpoint?.(this.#step, this.#curve)
  }

  #state(): LoopState {
    return {
      parameters: this.task.parameters,
      optimiser: this.#optimiser,
      curve: this.#curve,
      task: this.task.state,
    }
  }

  #notFinite(step: number, loss: number, gradients: ReadonlyMap<string, Float32Array>): PatchbayError {
    const weights = new Map(this.task.parameters.map(({ name, data }) => [name, data]))
    const broken = firstNotFinite(weights) ?? firstNotFinite(gradients)
    const where = broken === null ? '' : `; first in ${broken}`
    const what = Number.isFinite(loss) ? 'The gradient is not finite' : `The loss is ${loss}`
    return new PatchbayError('run.failed', `${what} at step ${step}${where}. ${this.#kept()}`, {
      field: broken ?? undefined,
      next: 'Lower the learning rate or the clipping norm, and resume from the checkpoint.',
    })
  }

  /** A full disk, with what there is to go on from. */
  #withoutRoom(error: unknown): unknown {
    if (!(error instanceof PatchbayError) || error.code !== 'disk.full') return error
    return new PatchbayError('disk.full', `${error.message} ${this.#kept()}`, {
      file: error.file,
      next: 'Free some space and resume; nothing half-written was kept.',
      cause: error,
    })
  }

  #kept(): string {
    return this.#savedAt === null
      ? 'There is no checkpoint yet.'
      : `The checkpoint of step ${this.#savedAt} was kept.`
  }
}

/** @throws PatchbayError `run.cancelled`, or the signal's own reason if it is one of ours */
function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  if (signal.reason instanceof PatchbayError) throw signal.reason
  throw new PatchbayError('run.cancelled', 'The training was cancelled.', {
    next: 'Resume it from its last checkpoint when you like.',
  })
}
