/** Records of jobs as the engine tells them, and the answers of an engine that has them. */
import type { JobRecord, JobState } from '../../../preload/jobs'
import type { Answers } from './synthetic-engine'

let next = 0

/** A job of its own, with an id behind those before it. */
export function jobRecord(state: JobState, change: Partial<JobRecord> = {}): JobRecord {
  const time = '2026-01-01T00:00:00.000Z'
  next++
  return {
    format: 'patchbay.job',
    version: 1,
    id: `20260101-000000-${String(next).padStart(8, '0')}`,
    kind: 'probe',
    title: `Job ${next}`,
    input: {},
    state,
    progress: null,
    created: time,
    updated: time,
    error: null,
    result: null,
    ...change,
  }
}

/** What is started is done at once, with this result. */
export const jobAnswers = (jobs: JobRecord[], result: unknown = null): Answers => ({
  'jobs.list': () => ({ jobs, unreadable: [], warning: null }),
  'jobs.watch': ({ id }) => jobs.find((job) => job.id === id) ?? jobRecord('done'),
  'jobs.start': ({ kind }) => {
    const job = jobRecord('done', { kind, title: 'Started', result })
    jobs.push(job)
    return job
  },
})
