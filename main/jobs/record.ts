/** What is known of a job, as it lies on disk and as views show it. */
import { z } from 'zod'
import { wireError } from '../../preload/errors'

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
  /** Which work it is; see `JobKind`. */
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
