/** Following a job on a terminal until it ends; Ctrl+C pauses it. */
import { durationText } from '../../preload/duration'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import type { JobRecord } from '../../preload/jobs'
import type { Engine } from '../engine/engine'
import { forTerminal, printError } from './output'
import { progressLine } from './progress'

/**
 * Shows a job until it ends; an interrupt pauses it. Prints its last line.
 * @throws PatchbayError the job's own error
 */
export async function follow(engine: Engine, id: string, signal: AbortSignal): Promise<JobRecord> {
  const line = progressLine()
  const interrupt = (): void => {
    console.error('\nStopping behind a checkpoint.')
    engine.call('jobs.pause', { id }).catch((error: unknown) => printError(asPatchbayError(error)))
  }
  signal.addEventListener('abort', interrupt)
  try {
    const job = await engine.call(
      'jobs.watch',
      { id },
      {
        onProgress: ({ job: { progress } }) => {
          if (progress === null) return
          const { done, total, what, eta, numbers } = progress
          const values = Object.entries(numbers).map(([name, value]) => `${name} ${value.toPrecision(4)}`)
          const left = eta === null ? [] : [`${durationText(eta)} left`]
          line.show([what, ...values, ...left].join(', '), total === 0 ? 0 : done / total)
        },
      },
    )
    line.clear()
    console.log(lineOf(job))
    if (job.error !== null) throw new PatchbayError(job.error.code, job.error.message, job.error)
    if (job.state === 'paused') console.log(`patchbay job resume ${id} goes on from there.`)
    return job
  } finally {
    line.clear()
    signal.removeEventListener('abort', interrupt)
  }
}

/** A job in one line. */
export function lineOf({ id, state, title, progress }: JobRecord): string {
  const share =
    progress === null || progress.total === 0
      ? ''
      : ` ${Math.floor((100 * progress.done) / progress.total)} %`
  return `${id}  ${state}${state === 'done' ? '' : share}  ${forTerminal(title)}`
}
