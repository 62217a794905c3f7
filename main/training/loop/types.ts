/** What the training loop needs of a task, and what it reports. */
import type { Schedule } from '../optimiser/schedule'
import type { AdamW, AdamWOptions } from '../optimiser/adamw'
import type { Gradients, Parameter } from '../optimiser/parameter'
import type { Saved } from '../checkpoint'

/** Something with a state that a checkpoint must hold. */
export interface Stateful {
  /** Copied or written before anything changes again. */
  save(): Saved
  /** @throws PatchbayError `file.malformed` where the state is not one of these */
  restore(saved: Saved): void
}

/** Loss and gradients of one micro-batch at the parameters as they are. */
export interface StepResult {
  readonly loss: number
  readonly gradients: Gradients
  /** Further numbers for the curve, such as L0. */
  readonly metrics?: Readonly<Record<string, number>>
}

export interface TrainingTask<Batch> {
  readonly parameters: readonly Parameter[]
  /** The next micro-batch; which one it is depends on the state alone. Null where the data has ended. */
  next(): Promise<Batch | null>
  compute(batch: Batch): Promise<StepResult>
  /** Changes gradients before clipping (projections). */
  beforeUpdate?(gradients: Map<string, Float32Array>): void
  /** Changes parameters after an update (norms, resampling); the optimiser may have to forget what it knew of them. */
  afterUpdate?(step: number, optimiser: AdamW): Promise<void> | void
  /** Everything beside parameters and optimiser that the next steps depend on: random numbers, place in the data, … */
  readonly state: Stateful
  /** Evaluates; called every `evaluateEvery` steps and at the end. */
  evaluate?(step: number): Promise<Readonly<Record<string, number>>>
}

export interface LoopSettings {
  readonly steps: number
  /** Micro-batches whose gradients are averaged for one update. */
  readonly accumulate: number
  readonly schedule: Schedule
  /** Largest norm of the gradients as a whole; null does not clip. */
  readonly clip: number | null
  readonly optimiser: AdamWOptions
  readonly checkpointEvery: number
  readonly evaluateEvery: number | null
}

/** One step of the curve. */
export interface StepRecord {
  readonly step: number
  readonly loss: number
  readonly rate: number
  /** Before clipping. */
  readonly gradientNorm: number
  readonly metrics: Readonly<Record<string, number>>
}

export interface EvaluationRecord {
  /** Steps done. */
  readonly step: number
  readonly values: Readonly<Record<string, number>>
}

export interface LoopOutcome {
  /** ended: the data ended before the last step. */
  readonly kind: 'done' | 'paused' | 'ended'
  /** Steps done. */
  readonly step: number
}
