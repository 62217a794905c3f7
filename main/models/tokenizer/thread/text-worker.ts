/**
 * Owns one worker thread: started with the first call, asked one thing at a time, ended when a call takes too long or
 * too much memory, and started anew for the next one. The engine's thread never runs what a model file says.
 */
import { Worker } from 'node:worker_threads'
import { PatchbayError, fromWire } from '../../../../preload/errors'
import type { TokenizerOptions } from '../types'
import type { CallName, TokenizerSource, WorkerCalls, WorkerReply } from './protocol'
import { workerUrl } from '../../../files/worker-url'

type Output<N extends CallName> = WorkerCalls[N]['output']

interface Pending {
  id: number
  settle: (reply: WorkerReply) => void
  fail: (error: PatchbayError) => void
}

/** What a call's failures mean to a person: the code and the subject of the sentence. */
const subjects: Record<CallName, { timeout: 'tokenizer.timeout' | 'template.failed'; subject: string }> = {
  load: { timeout: 'tokenizer.timeout', subject: 'Reading the tokenizer' },
  encode: { timeout: 'tokenizer.timeout', subject: 'Tokenising the text' },
  render: { timeout: 'template.failed', subject: "The model's chat template" },
}

export class TextWorker {
  private worker: Worker | null = null
  private pending: Pending | null = null
  private queue: Promise<unknown> = Promise.resolve()
  private lastId = 0
  private closed = false

  constructor(
    private readonly source: TokenizerSource,
    private readonly options: TokenizerOptions,
  ) {}

  /** Starts the worker and reads the tokenizer. @throws PatchbayError, as the source's reader does */
  load(): Promise<Output<'load'>> {
    return this.inTurn(() => this.started())
  }

  /**
   * @throws PatchbayError of the worker; `tokenizer.timeout` or `template.failed` past the time limit;
   *   `run.cancelled` (the worker goes on to its limit and what it finds is dropped)
   */
  async call<N extends 'encode' | 'render'>(
    name: N,
    input: WorkerCalls[N]['input'],
    signal?: AbortSignal,
  ): Promise<Output<N>> {
    if (signal?.aborted === true) throw cancelled()
    const turn = this.inTurn(async () => {
      if (signal?.aborted === true) throw cancelled()
      if (this.worker === null) await this.started()
      return this.ask(name, input, this.options.timeLimitMs ?? 5000)
    })
    return signal === undefined ? turn : abortable(turn, signal)
  }

  async close(): Promise<void> {
    this.closed = true
    await this.end(closedError())
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(work)
    this.queue = turn.catch(() => undefined)
    return turn
  }

  private async started(): Promise<Output<'load'>> {
    if (this.closed) throw closedError()
    const worker = new Worker(this.options.workerUrl ?? workerUrl('text-worker.js'), {
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: this.options.memoryLimitMb ?? 1024, stackSizeMb: 4 },
    })
    this.worker = worker
    worker.unref()
    worker.on('message', (reply: WorkerReply) => {
      if (this.pending?.id === reply.id) this.pending.settle(reply)
    })
    worker.on('error', (error) => this.lost(worker, error))
    worker.on('exit', () => this.lost(worker, null))
    try {
      return await this.ask('load', this.source, this.options.loadTimeLimitMs ?? 30_000)
    } catch (error) {
      await this.end(cancelled())
      throw error
    }
  }

  private ask<N extends CallName>(
    name: N,
    input: WorkerCalls[N]['input'],
    limitMs: number,
  ): Promise<Output<N>> {
    const worker = this.worker
    if (worker === null) throw stopped(name, null)
    const id = ++this.lastId
    return new Promise<Output<N>>((resolve, reject) => {
      const timer = setTimeout(() => {
        // Where the engine's own thread was busy, the answer may be waiting behind this timer: let it come first.
        setImmediate(() => {
          if (this.pending?.id === id) void this.end(timedOut(name, limitMs))
        })
      }, limitMs)
      const finish = () => {
        clearTimeout(timer)
        this.pending = null
        worker.unref()
      }
      this.pending = {
        id,
        settle: (reply) => {
          finish()
          if ('error' in reply) reject(fromWire(reply.error))
          else resolve(reply.output as Output<N>)
        },
        fail: (error) => {
          finish()
          reject(error.code === 'engine.stopped' ? stopped(name, error.cause) : error)
        },
      }
      worker.ref()
      worker.postMessage({ id, call: name, input })
    })
  }

  /** The worker went away by itself: out of memory, or a defect. */
  private lost(worker: Worker, cause: Error | null): void {
    if (this.worker !== worker) return
    this.worker = null
    this.pending?.fail(new PatchbayError('engine.stopped', 'The text worker stopped.', { cause }))
  }

  private async end(reason: PatchbayError): Promise<void> {
    const worker = this.worker
    this.worker = null
    this.pending?.fail(reason)
    await worker?.terminate()
  }
}

const seconds = (ms: number): string => `${ms / 1000} s`

function timedOut(name: CallName, limitMs: number): PatchbayError {
  const { timeout, subject } = subjects[name]
  return new PatchbayError(timeout, `${subject} took longer than ${seconds(limitMs)} and was stopped.`, {
    next:
      name === 'render'
        ? 'Write the prompt as plain text, with the marks of the template in it.'
        : 'Use a shorter text; if it is short, a pattern in this tokenizer does not end.',
  })
}

function stopped(name: CallName, cause: unknown): PatchbayError {
  const outOfMemory = cause instanceof Error && 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY'
  const { subject } = subjects[name]
  if (!outOfMemory)
    return new PatchbayError('internal', `${subject} ended unexpectedly.`, {
      cause,
      next: 'Try again; if it happens again, please report it with the model and the text.',
    })
  return new PatchbayError(
    name === 'render' ? 'template.failed' : 'memory.exhausted',
    `${subject} needed more memory than it may have and was stopped.`,
    { cause, next: 'Use a shorter text; if it is short, this tokenizer or template is broken or hostile.' },
  )
}

const closedError = (): PatchbayError =>
  new PatchbayError('model.not-open', 'The tokenizer is closed.', { next: 'Open the model again.' })

const cancelled = (): PatchbayError => new PatchbayError('run.cancelled', 'Tokenising was cancelled.')

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(cancelled())
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
