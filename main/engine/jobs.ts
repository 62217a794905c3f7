/** The engine's jobs: one queue over the folder of jobs, opened when it is first needed, and the curves to watch. */
import path from 'node:path'
import { toWire } from '../../preload/errors'
import type { CallOutput } from '../../preload/api'
import type { JobChange, JobRecord } from '../../preload/jobs'
import { JobKinds } from '../jobs/kinds'
import { dictionaryJob } from '../jobs/kinds/dictionary'
import { extractJob, type ExtractJobParts } from '../jobs/kinds/extract'
import type { OpenJobModel } from '../jobs/kinds/job-model'
import { probeJob } from '../jobs/kinds/probe'
import { steeringJob } from '../jobs/kinds/steering'
import { trainStoryworldJob } from '../jobs/kinds/train-storyworld'
import { LocalQueue } from '../jobs/local-queue'
import { JobStore } from '../jobs/store'
import { LiveCurves, watchJob } from '../jobs/watch'
import type { PresetStore } from '../steering/preset-store'

export interface EngineJobsOptions {
  /** One folder a job. */
  readonly folder: string
  readonly assetsDir: string
  readonly open: OpenJobModel
  readonly presets: PresetStore
  readonly extraction: ExtractJobParts
}

export class EngineJobs {
  readonly #store: JobStore
  readonly #kinds: JobKinds
  readonly #curves = new LiveCurves()
  #queue: Promise<LocalQueue> | null = null

  constructor({ folder, assetsDir, open, presets, extraction }: EngineJobsOptions) {
    this.#store = new JobStore(folder)
    this.#kinds = new JobKinds()
      .add(probeJob(open))
      .add(dictionaryJob(open))
      .add(steeringJob(open, presets))
      .add(extractJob(extraction))
      .add(trainStoryworldJob(path.join(assetsDir, 'models', 'storyworld')))
  }

  /** Goes on with what waited or was left by a process that died; without this, only what is asked for is done. */
  async goOn(): Promise<void> {
    await this.#opened(true)
  }

  /** @throws PatchbayError `input.invalid` */
  async start(kind: string, input: unknown): Promise<JobRecord> {
    return (await this.#opened()).submit(kind, input)
  }

  async list(): Promise<CallOutput<'jobs.list'>> {
    const queue = await this.#opened()
    const { unreadable } = await this.#store.list()
    return {
      jobs: await queue.list(),
      unreadable: unreadable.map(({ id, error }) => ({ id, error: toWire(error) })),
      warning: queue.warning === null ? null : toWire(queue.warning),
    }
  }

  async get(id: string): Promise<JobRecord> {
    return (await this.#opened()).get(id)
  }

  /** Does one thing to a job, and gives its record after it. */
  async change(what: 'cancel' | 'pause' | 'resume', id: string): Promise<JobRecord> {
    const queue = await this.#opened()
    await queue[what](id)
    return queue.get(id)
  }

  async remove(id: string): Promise<void> {
    await (await this.#opened()).remove(id)
    this.#curves.forget(id)
  }

  async watch(id: string, signal: AbortSignal, tell: (change: JobChange) => void): Promise<JobRecord> {
    const queue = await this.#opened()
    const curve = (after: number) => this.#curves.since(id, this.#store.folderOf(id), after)
    return watchJob(id, { queue, curve, signal, tell })
  }

  /** What runs stops behind a checkpoint, and goes on with the next process that goes on. */
  async close(): Promise<void> {
    const queue = await this.#queue?.catch(() => null) // whoever opened it was told why it failed
    await queue?.close()
  }

  #opened(goOn = false): Promise<LocalQueue> {
    this.#queue ??= this.#open(goOn)
    return this.#queue
  }

  async #open(goOn: boolean): Promise<LocalQueue> {
    try {
      const queue = await LocalQueue.open(this.#store, this.#kinds, { goOn })
      queue.onChange((record) => this.#curves.add(record))
      return queue
    } catch (error) {
      this.#queue = null // the next call tries again
      throw error
    }
  }
}
