/**
 * Jobs: work that takes minutes or hours, done one after the other, kept on disk, resumed after a restart. The record of a
 * job as it lies on disk and as views show it, and the calls. What each kind is given and gives is in training.ts.
 */
import { z } from 'zod'
import { wireError } from './errors'

const count = z.number().int().nonnegative()

/**
 * queued: waits for its turn. running: under way, or was when its process died. paused: goes on when somebody says so;
 * `error` tells why where it was not a person. done, failed, cancelled: over (failed ones can be resumed).
 */
export const jobStates = ['queued', 'running', 'paused', 'done', 'failed', 'cancelled'] as const
export type JobState = (typeof jobStates)[number]

export const jobProgress = z.object({
  done: z.number().nonnegative(),
  total: z.number().nonnegative(),
  /** One line: what is being worked on. */
  what: z.string(),
  /** Seconds left, smoothed; null before it can be told. */
  eta: z.number().nonnegative().nullable(),
  /** Numbers to watch, such as the loss. */
  numbers: z.record(z.string(), z.number()),
})
export type JobProgress = z.infer<typeof jobProgress>

export const jobId = z.string().regex(/^\d{8}-\d{6}-[0-9a-f]{8}$/)

export const jobRecord = z.object({
  format: z.literal('patchbay.job'),
  version: z.literal(1),
  id: jobId,
  /** Which work it is: `train.storyworld`, `probe`, `dictionary`, `steering`. */
  kind: z.string(),
  title: z.string(),
  input: z.unknown(),
  state: z.enum(jobStates),
  progress: jobProgress.nullable(),
  created: z.string(),
  updated: z.string(),
  error: wireError.nullable(),
  /** What the work gave, once it is done. */
  result: z.unknown(),
})
export type JobRecord = z.infer<typeof jobRecord>

/** Whether a job is over for good, or waits for a person. */
export const isOver = (state: JobState): boolean =>
  state === 'done' || state === 'cancelled' || state === 'failed'

/** One step of a loss curve: steps count from 0, the loss is in the units of its kind (nats, squared error). */
export const lossPoint = z.object({ step: count, loss: z.number() })
export type LossPoint = z.infer<typeof lossPoint>

/** What `jobs.watch` tells: the record where it changed, and the steps of the loss curve since the last message, ascending. */
export const jobChange = z.object({ job: jobRecord, points: z.array(lossPoint) })
export type JobChange = z.infer<typeof jobChange>

/** A job's folder that can not be read; it is left as it is and hides no other. */
export const unreadableJob = z.object({ id: z.string(), error: wireError })

const one = z.object({ id: jobId })

/** The calls, as `calls` in api.ts takes them. */
export const jobCalls = {
  /** All jobs, newest first. `warning`: why the state of a job could not be written, if it could not. */
  'jobs.list': {
    input: z.object({}),
    output: z.object({
      jobs: z.array(jobRecord),
      unreadable: z.array(unreadableJob),
      warning: wireError.nullable(),
    }),
    progress: z.null(),
  },
  /** Queues a job; its input is checked against its kind's. */
  'jobs.start': {
    input: z.object({ kind: z.string().min(1).max(100), input: z.unknown() }),
    output: jobRecord,
    progress: z.null(),
  },
  /** Stops a job for good; what it kept stays until it is removed. */
  'jobs.cancel': { input: one, output: jobRecord, progress: z.null() },
  /** A running job stops behind its next checkpoint, a waiting one where it is. */
  'jobs.pause': { input: one, output: jobRecord, progress: z.null() },
  /** Queues a paused or failed job again, or one that a process left that is gone. */
  'jobs.resume': { input: one, output: jobRecord, progress: z.null() },
  /** Removes a job that is not running, with all that it kept. */
  'jobs.remove': { input: one, output: z.object({}), progress: z.null() },
  /** Tells of a job until it neither waits nor runs; gives its record then. First the whole loss curve so far. */
  'jobs.watch': { input: one, output: jobRecord, progress: jobChange },
} satisfies Record<string, { input: z.ZodType; output: z.ZodType; progress: z.ZodType }>
