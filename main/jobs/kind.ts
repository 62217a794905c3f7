/** What a kind of job is: the work, told apart from how it is queued, stored and shown. */
import type { z } from 'zod'

/** What a piece of work is given. */
export interface JobContext {
  /** The job's own folder; checkpoints and results go there, whole or not at all. It outlives the process. */
  readonly folder: string
  /** Aborted when the job is cancelled: stop soon, nothing more is wanted. */
  readonly signal: AbortSignal
  /** Aborted when the job should pause: write a checkpoint, then return `paused`. */
  readonly pause: AbortSignal
  /** Tells how far it is. */
  readonly report: (progress: {
    done: number
    total: number
    what: string
    numbers?: Record<string, number>
  }) => void
}

/** done: with what it gave, as plain JSON. paused: a checkpoint in the folder says how to go on. */
export type JobOutcome = { readonly kind: 'done'; readonly result: unknown } | { readonly kind: 'paused' }

export interface JobKind<Input = unknown> {
  /** `train.storyworld` */
  readonly name: string
  readonly input: z.ZodType<Input>
  readonly title: (input: Input) => string
  /**
   * Does the work, from the checkpoint in its folder where there is one: the same call begins a job, resumes a paused
   * one, and goes on with one whose process died. `disk.full` pauses the job; other errors fail it.
   */
  readonly run: (input: Input, context: JobContext) => Promise<JobOutcome>
}

/** A kind whose input is checked before its work sees it. */
export interface CheckedKind {
  readonly name: string
  /** @throws PatchbayError `input.invalid` */
  readonly prepare: (input: unknown) => {
    readonly title: string
    readonly run: (context: JobContext) => Promise<JobOutcome>
  }
}
