/** How far a job is, in words and numbers. */
import { durationText } from '../../preload/duration'
import type { JobRecord, JobState } from '../../preload/jobs'

export const stateWords: Record<JobState, string> = {
  queued: 'waits',
  running: 'running',
  paused: 'paused',
  done: 'done',
  failed: 'failed',
  cancelled: 'cancelled',
}

/** 0 to 1; null before it can be told. */
export const fractionOf = ({ progress }: JobRecord): number | null =>
  progress === null || progress.total === 0 ? null : Math.min(1, progress.done / progress.total)

/** "running · Step 3 of 50 · 12 s left" */
export function stateText({ state, progress }: JobRecord): string {
  const active = state === 'running' && progress !== null
  return [
    stateWords[state],
    ...(active ? [progress.what] : []),
    ...(active && progress.eta !== null ? [`${durationText(progress.eta)} left`] : []),
  ].join(' · ')
}
