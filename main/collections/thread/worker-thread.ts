/**
 * Owns one worker thread for what may take long or never end (a person's query, an embedding): asked one thing at a time, and
 * ended when a call is cancelled or takes too long. It is then gone with all that it held; the next call starts another.
 */
import { Worker } from 'node:worker_threads'
import { fromWire, PatchbayError } from '../../../preload/errors'
import { workerUrl } from '../../files/worker-url'
import type { CallMap, WorkerMessage } from './protocol'

export interface AskOptions {
  signal?: AbortSignal
  /** Ends the thread when the call takes longer. */
  limitMs?: number
  /** The error that this is. */
  tooLong?: () => PatchbayError
  onProgress?: (value: number) => void
}

interface Pending {
  id: number
  message: (message: WorkerMessage) => void
  fail: (error: unknown) => void
}

export class WorkerThread<Calls extends CallMap<Calls>> {
  private worker: Worker | null = null
  private pending: Pending | null = null
  private lastId = 0

  /** @param script its file name in dist/engine; @param what it does, for sentences about its failure */
  constructor(
    private readonly script: string,
    private readonly what: string,
  ) {}

  /** Whether what earlier calls left in it is still there. */
  get alive(): boolean {
    return this.worker !== null
  }

  /**
   * Calls must follow one another.
   * @throws PatchbayError of the worker, of `tooLong`, `run.cancelled`, `memory.exhausted`
   */
  ask<N extends keyof Calls & string>(
    call: N,
    input: Calls[N]['input'],
    { signal, limitMs, tooLong, onProgress }: AskOptions = {},
  ): Promise<Calls[N]['output']> {
    if (this.pending !== null) throw new PatchbayError('internal', `${this.script} is asked twice at once.`)
    if (signal?.aborted === true) return Promise.reject(cancelled())
    const worker = this.started()
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      const timer =
        limitMs === undefined
          ? undefined
          : setTimeout(() => {
              // Where this thread was busy, the answer may be waiting behind the timer: let it come first.
              setImmediate(() => {
                if (this.pending?.id === id) this.end(tooLong?.() ?? this.stopped(null))
              })
            }, limitMs)
      const abort = (): void => this.end(cancelled())
      const finish = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.pending = null
        worker.unref()
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.pending = {
        id,
        message: (message) => {
          if ('progress' in message) return onProgress?.(message.progress)
          finish()
          if ('error' in message) reject(fromWire(message.error))
          else resolve(message.output)
        },
        fail: (error) => {
          finish()
          reject(error instanceof Error ? error : new Error(String(error)))
        },
      }
      worker.ref()
      worker.postMessage({ id, call, input })
    })
  }

  /** Ends the thread; what is asked of it fails with the reason. */
  end(reason: PatchbayError = cancelled()): void {
    const { worker } = this
    this.worker = null
    this.pending?.fail(reason)
    void worker?.terminate()
  }

  private started(): Worker {
    if (this.worker !== null) return this.worker
    const worker = new Worker(workerUrl(this.script), { execArgv: [], env: {} })
    this.worker = worker
    worker.unref()
    worker.on('message', (message: WorkerMessage) => {
      if (this.pending?.id === message.id) this.pending.message(message)
    })
    worker.on('error', (error) => this.lost(worker, error))
    worker.on('exit', () => this.lost(worker, null))
    return worker
  }

  private lost(worker: Worker, cause: Error | null): void {
    if (this.worker !== worker) return
    this.worker = null
    this.pending?.fail(this.stopped(cause))
  }

  private stopped(cause: Error | null): PatchbayError {
    const outOfMemory = cause !== null && 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY'
    return outOfMemory
      ? new PatchbayError('memory.exhausted', `${this.what} needed more memory than there is.`, {
          cause,
          next: 'Use fewer rows: set a filter.',
        })
      : new PatchbayError('internal', `${this.what} ended unexpectedly.`, {
          cause,
          next: 'Try again; if it happens again, please report it.',
        })
  }
}

const cancelled = (): PatchbayError => new PatchbayError('run.cancelled', 'It was cancelled.')
