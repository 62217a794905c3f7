/** The queue of this process: one job after the other, oldest first; what a dead process left running goes on. */
import { asPatchbayError, PatchbayError, toWire } from '../../preload/errors'
import { removePartials } from '../files/durable-file'
import { Eta } from './eta'
import type { JobContext, JobOutcome } from './kind'
import type { JobKinds } from './kinds'
import { claim } from './lease'
import type { JobQueue } from './queue'
import { isOver, type JobRecord, type JobState } from '../../preload/jobs'
import { JobStore } from './store'

/** A record is written at most this often for progress alone. */
const progressWriteMs = 2000

interface Running {
  readonly id: string
  readonly cancel: AbortController
  readonly pause: AbortController
  /** What the person asked for meanwhile; decides the state that the job ends in. */
  wanted: 'paused' | 'cancelled' | 'queued' | null
  readonly ended: Promise<void>
}

export interface QueueOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** Whether to go on with what was waiting, or was left by a process that died; it is unless told otherwise. */
  readonly goOn?: boolean
}

export class LocalQueue implements JobQueue {
  readonly #listeners = new Set<(record: JobRecord) => void>()
  /** Records of jobs that changed in this process; newer than what is on disk. */
  readonly #live = new Map<string, JobRecord>()
  readonly #waiting: string[] = []
  #running: Running | null = null
  #closed = false
  /** Records are written one after the other, so that the last one stays. */
  #writing: Promise<void> = Promise.resolve()
  /** Why the last record could not be written, if it could not; the job itself goes on. */
  warning: PatchbayError | null = null

  private constructor(
    private readonly store: JobStore,
    private readonly kinds: JobKinds,
    private readonly now: () => number,
  ) {}

  /** Opens the queue, and goes on with what was waiting or was left by a process that died. */
  static async open(
    store: JobStore,
    kinds: JobKinds,
    { now = Date.now, goOn = true }: QueueOptions = {},
  ): Promise<LocalQueue> {
    const queue = new LocalQueue(store, kinds, now)
    if (!goOn) return queue
    const { jobs } = await store.list()
    for (const { id, state } of jobs.reverse())
      if (state === 'running' || state === 'queued') queue.#waiting.push(id)
    queue.#next()
    return queue
  }

  async submit(kind: string, input: unknown): Promise<JobRecord> {
    const { title } = this.kinds.get(kind).prepare(input)
    const time = this.#time()
    const record: JobRecord = {
      format: 'patchbay.job',
      version: 1,
      id: JobStore.newId(new Date(this.now())),
      kind,
      title,
      input,
      state: 'queued',
      progress: null,
      created: time,
      updated: time,
      error: null,
      result: null,
    }
    await this.store.write(record)
    this.#keep(record)
    this.#waiting.push(record.id)
    this.#next()
    return record
  }

  async list(): Promise<JobRecord[]> {
    const { jobs } = await this.store.list()
    return jobs.map((job) => newer(this.#live.get(job.id), job))
  }

  async get(id: string): Promise<JobRecord> {
    const live = this.#live.get(id)
    if (live !== undefined && this.#running?.id === id) return live
    return newer(live, await this.store.read(id))
  }

  async pause(id: string): Promise<void> {
    if (this.#running?.id === id) {
      this.#running.wanted = 'paused'
      this.#running.pause.abort()
      return
    }
    await this.#claimed(id, async (record) => {
      if (record.state !== 'queued') throw wrongState(record, 'paused')
      this.#drop(id)
      await this.#change(record, { state: 'paused', error: null })
    })
  }

  async resume(id: string): Promise<void> {
    await this.#claimed(id, async (record) => {
      // Nobody has it, so whoever queued or ran it is gone.
      const left = (record.state === 'queued' || record.state === 'running') && !this.#waiting.includes(id)
      if (record.state !== 'paused' && record.state !== 'failed' && !left) throw wrongState(record, 'resumed')
      await this.#change(record, { state: 'queued', error: null })
    })
    this.#waiting.push(id)
    this.#next()
  }

  async cancel(id: string): Promise<void> {
    if (this.#running?.id === id) {
      this.#running.wanted = 'cancelled'
      this.#running.cancel.abort(new PatchbayError('run.cancelled', 'The job was cancelled.'))
      await this.#running.ended
      return
    }
    await this.#claimed(id, async (record) => {
      if (isOver(record.state) && record.state !== 'failed') throw wrongState(record, 'cancelled')
      this.#drop(id)
      await this.#change(record, { state: 'cancelled' })
    })
  }

  async remove(id: string): Promise<void> {
    const record = await this.get(id)
    if (this.#running?.id === id && record.state === 'running') throw wrongState(record, 'removed')
    await this.#claimed(id, async () => {
      this.#drop(id)
      this.#live.delete(id)
      await this.store.remove(id)
    })
  }

  onChange(listener: (record: JobRecord) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#waiting.length = 0
    const running = this.#running
    if (running === null) return
    running.wanted ??= 'queued'
    running.pause.abort()
    await running.ended
  }

  #next(): void {
    if (this.#closed || this.#running !== null) return
    const id = this.#waiting.shift()
    if (id === undefined) return
    const cancel = new AbortController()
    const pause = new AbortController()
    const ended = Promise.resolve()
      .then(() => this.#work(id, cancel.signal, pause.signal))
      .finally(() => {
        this.#running = null
        this.#next()
      })
    this.#running = { id, cancel, pause, wanted: null, ended }
    // A job's failures are in its record; what is left is a record that could not be read at all.
    ended.catch((error: unknown) => (this.warning = asPatchbayError(error)))
  }

  async #work(id: string, signal: AbortSignal, pause: AbortSignal): Promise<void> {
    const folder = this.store.folderOf(id)
    const lease = await claim(folder)
    if (lease === null) return // another process has it
    try {
      await removePartials(folder)
      let record = await this.#change(await this.get(id), { state: 'running', error: null })
      const eta = new Eta(this.now)
      let written = this.now()
      const outcome = await this.#outcome(record, {
        folder,
        signal,
        pause,
        report: ({ done, total, what, numbers = {} }) => {
          const progress = { done, total, what, numbers, eta: eta.update(done, total) }
          record = { ...record, progress, updated: this.#time() }
          this.#keep(record)
          if (this.now() - written < progressWriteMs) return
          written = this.now()
          void this.#write(record)
        },
      })
      await this.#change(record, outcome)
    } finally {
      await lease.release()
    }
  }

  /** Does the work, and says what becomes of the record. */
  async #outcome(
    record: JobRecord,
    context: JobContext,
  ): Promise<Pick<JobRecord, 'state' | 'error' | 'result'>> {
    try {
      const outcome: JobOutcome = await this.kinds.get(record.kind).prepare(record.input).run(context)
      if (outcome.kind === 'done') return { state: 'done', error: null, result: outcome.result }
      return { state: this.#wanted('paused'), error: null, result: null }
    } catch (thrown) {
      const error = asPatchbayError(thrown)
      const asked = this.#running !== null && this.#running.wanted !== null
      if (error.code === 'run.cancelled' && asked)
        return { state: this.#wanted('cancelled'), error: null, result: null }
      const state = error.code === 'disk.full' ? 'paused' : 'failed'
      return { state, error: toWire(error), result: null }
    }
  }

  #wanted(otherwise: JobState): JobState {
    return this.#running?.wanted ?? otherwise
  }

  /** Changes a job that is not running here, unless another process works on it. */
  async #claimed(id: string, change: (record: JobRecord) => Promise<void>): Promise<void> {
    const found = await this.get(id)
    const { title, state } = found
    if (this.#running?.id === id) {
      if (state === 'running' || state === 'queued') throw wrongState(found, 'changed')
      await this.#running.ended // a moment ago: its claim is still being given back
    }
    const lease = await claim(this.store.folderOf(id))
    if (lease === null)
      throw new PatchbayError('input.invalid', `Another process works on the job “${title}”.`, {
        next: 'Stop it there: in the other window, or with Ctrl+C in its terminal.',
      })
    try {
      await change(await this.get(id))
    } finally {
      await lease.release()
    }
  }

  #drop(id: string): void {
    const at = this.#waiting.indexOf(id)
    if (at !== -1) this.#waiting.splice(at, 1)
  }

  async #change(record: JobRecord, change: Partial<JobRecord>): Promise<JobRecord> {
    const next = { ...record, ...change, updated: this.#time() }
    this.#keep(next)
    await this.#write(next)
    return next
  }

  /** A full disk must not end a job that could go on: the record in memory holds, and the warning says so. */
  #write(record: JobRecord): Promise<void> {
    this.#writing = this.#writing
      .then(() => this.store.write(record))
      .then(() => void (this.warning = null))
      .catch((error: unknown) => void (this.warning = asPatchbayError(error)))
    return this.#writing
  }

  #keep(record: JobRecord): void {
    this.#live.set(record.id, record)
    for (const listener of this.#listeners) listener(record)
  }

  #time(): string {
    return new Date(this.now()).toISOString()
  }
}

/** Another process may have gone on with a job that this one knew. */
const newer = (live: JobRecord | undefined, stored: JobRecord): JobRecord =>
  live !== undefined && live.updated >= stored.updated ? live : stored

const wrongState = ({ title, state }: JobRecord, verb: string): PatchbayError =>
  new PatchbayError('input.invalid', `The job “${title}” is ${state} and can not be ${verb}.`, {
    next: 'Look at its state in the list of jobs.',
  })
