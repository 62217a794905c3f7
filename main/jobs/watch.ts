/** Following a job: its record where it changes, and its loss curve from disk and from the steps since. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { asPatchbayError } from '../../preload/errors'
import { lossPoint, type JobChange, type JobRecord, type LossPoint } from '../../preload/jobs'
import { throwIfCancelled } from '../runtime/cancelled'
import { curveBase } from './kinds/loop-job'
import type { JobQueue } from './queue'

/** Messages come at most this often. */
const TELL_EVERY_MS = 250

/** The steps of each job since this process works on it; earlier ones lie in the job's folder. */
export class LiveCurves {
  readonly #points = new Map<string, LossPoint[]>()

  /** Takes note of a record that changed. */
  add({ id, state, progress }: JobRecord): void {
    const loss = progress?.numbers.loss
    if (state !== 'running' || loss === undefined || progress === null) return
    const points = this.#points.get(id) ?? []
    const step = progress.done - 1
    // Resumed behind an earlier checkpoint, some steps come again.
    while (points.length > 0 && points[points.length - 1].step >= step) points.pop()
    points.push({ step, loss })
    this.#points.set(id, points)
  }

  forget(id: string): void {
    this.#points.delete(id)
  }

  /**
   * The steps of a curve behind `after`, ascending.
   * @param folder the job's
   * @param after -1 for the whole curve
   */
  async since(id: string, folder: string, after: number): Promise<LossPoint[]> {
    const live = this.#points.get(id) ?? []
    const first = live.length === 0 ? Infinity : live[0].step
    // The file may be long, and this is asked several times a second.
    if (first <= after + 1) return live.filter(({ step }) => step > after)
    const saved = await savedCurve(path.join(folder, `${curveBase}.json`))
    return [...saved.filter(({ step }) => step > after && step < first), ...live]
  }
}

const curveFile = z.object({ steps: z.array(lossPoint) })

/** A curve that can not be read is no reason not to show the job. */
async function savedCurve(file: string): Promise<LossPoint[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const problem = asPatchbayError(error)
    if (problem.code === 'file.missing') return [] // before the first checkpoint, or a kind without a curve
    throw problem
  }
  const parsed = curveFile.safeParse(jsonOrUndefined(text))
  return parsed.success ? parsed.data.steps : []
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export interface WatchOptions {
  readonly queue: Pick<JobQueue, 'get'>
  /** Steps of the loss curve behind `after`, ascending. */
  readonly curve: (after: number) => Promise<LossPoint[]>
  readonly signal: AbortSignal
  readonly tell: (change: JobChange) => void
}

/**
 * Tells of a job until it neither waits nor runs, and gives its record. It looks at the record now and then: another
 * process may be the one that works on it.
 * @throws PatchbayError `run.cancelled` (the job itself goes on), `file.missing` for one that is not there
 */
export async function watchJob(id: string, { queue, curve, signal, tell }: WatchOptions): Promise<JobRecord> {
  let told: JobRecord | null = null
  let last = -1
  for (;;) {
    throwIfCancelled(signal)
    const job = await queue.get(id)
    if (told === null || job.updated !== told.updated || job.state !== told.state) {
      const points = await curve(last)
      last = points.at(-1)?.step ?? last
      told = job
      tell({ job, points })
    }
    if (job.state !== 'queued' && job.state !== 'running') return job
    await pause(TELL_EVERY_MS, signal)
  }
}

/** Waits, or until it is cancelled. */
const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, milliseconds)
    signal.addEventListener('abort', finish)
  })
