/**
 * The typed client of the engine's contract (preload/api): calls in, promises out, over any transport.
 * It never leaves a promise pending: when the port closes or the engine stops, everything open is rejected with
 * `engine.stopped`; a cancelled call that does not settle soon is reported, so that the shell can kill the engine.
 */
import type { z } from 'zod'
import { calls, engineMessage } from '../preload/api'
import type { CallInput, CallName, CallOutput, CallProgress, EngineStatus } from '../preload/api'
import { fromWire, PatchbayError } from '../preload/errors'
import type { Transport } from './transport'

export interface CallOptions<N extends CallName> {
  /** Aborting asks the engine to stop between blocks; the promise rejects with `run.cancelled` when it has. */
  signal?: AbortSignal
  onProgress?: (progress: CallProgress<N>) => void
}

/** What views and stores need of a client. */
export interface Caller {
  /**
   * One call of the contract.
   * @throws PatchbayError `input.invalid`, `engine.stopped`, `run.cancelled`, or whatever the engine answers
   */
  call<N extends CallName>(name: N, input: CallInput<N>, options?: CallOptions<N>): Promise<CallOutput<N>>
}

export interface ClientOptions {
  /** Asks the shell to kill and restart the engine: a cancelled call hangs in native code. */
  hardCancel?: () => void
  /** How long a cancelled call may take to settle, in milliseconds. */
  patience?: number
  onStatus?: (status: EngineStatus) => void
  /** A message that fits no schema and belongs to no call. */
  onBadMessage?: (error: PatchbayError) => void
}

interface Pending {
  name: CallName
  resolve: (output: unknown) => void
  reject: (error: PatchbayError) => void
  progress: (value: unknown) => void
  /** Detaches the abort listener and stops the hard-cancel clock. */
  release: () => void
}

const stopped = (message: string) =>
  new PatchbayError('engine.stopped', message, {
    next: 'Wait until the engine is back; the view then runs again by itself.',
  })

/** The first complaint of a schema as a sentence's end: "at top.3.text: expected string". */
const complaint = (error: z.ZodError): string => {
  const issue = error.issues[0]
  const place = issue.path.map(String).join('.')
  return place === '' ? issue.message : `at ${place}: ${issue.message}`
}

export class EngineClient implements Caller {
  #transport: Transport | null = null
  #nextId = 0
  readonly #pending = new Map<number, Pending>()
  readonly #options: ClientOptions

  constructor(options: ClientOptions = {}) {
    this.#options = options
  }

  get connected(): boolean {
    return this.#transport !== null
  }

  /** Speaks through this transport from now on; calls open on an earlier one are rejected. */
  connect(transport: Transport): void {
    this.disconnect('The engine was replaced while this was being computed.')
    this.#transport = transport
    transport.listen({
      message: (value) => {
        if (this.#transport === transport) this.#receive(value)
      },
      closed: () => {
        if (this.#transport === transport)
          this.disconnect('The engine stopped while this was being computed.')
      },
    })
  }

  /** Rejects everything open and forgets the transport. */
  disconnect(message = 'The engine stopped while this was being computed.'): void {
    const transport = this.#transport
    this.#transport = null
    transport?.close()
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(stopped(message))
  }

  call<N extends CallName>(
    name: N,
    input: CallInput<N>,
    { signal, onProgress }: CallOptions<N> = {},
  ): Promise<CallOutput<N>> {
    const schemas = calls[name]
    const parsed = schemas.input.safeParse(input)
    if (!parsed.success)
      return Promise.reject(
        new PatchbayError(
          'input.invalid',
          `The call ${name} was made with wrong input, ${complaint(parsed.error)}.`,
        ),
      )
    if (signal?.aborted) return Promise.reject(cancelled(name))
    const transport = this.#transport
    if (transport === null) return Promise.reject(stopped('The engine is not running.'))

    const id = this.#nextId++
    return new Promise<CallOutput<N>>((resolve, reject) => {
      let clock: ReturnType<typeof setTimeout> | undefined
      const onAbort = () => {
        clock = setTimeout(() => this.#options.hardCancel?.(), this.#options.patience ?? 3000)
        transport.post({ type: 'cancel', id })
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#pending.set(id, {
        name,
        reject,
        resolve: (value) => {
          const output = schemas.output.safeParse(value)
          if (output.success) resolve(output.data as CallOutput<N>)
          else reject(misfit(`The engine's answer to ${name}`, output.error))
        },
        progress: (value) => {
          const progress = schemas.progress.safeParse(value)
          if (progress.success) onProgress?.(progress.data as CallProgress<N>)
          else this.#options.onBadMessage?.(misfit(`A progress report of ${name}`, progress.error))
        },
        release: () => {
          clearTimeout(clock)
          signal?.removeEventListener('abort', onAbort)
        },
      })
      try {
        transport.post({ type: 'call', id, call: name, input: parsed.data })
      } catch (thrown) {
        this.#take(id)
        reject(
          new PatchbayError('input.invalid', `The call ${name} holds something that can not be sent.`, {
            cause: thrown,
          }),
        )
      }
    })
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    pending?.release()
    return pending
  }

  #receive(value: unknown): void {
    const parsed = engineMessage.safeParse(value)
    if (!parsed.success) {
      const error = misfit('A message of the engine', parsed.error)
      const pending = this.#take(idOf(value))
      if (pending === undefined) this.#options.onBadMessage?.(error)
      else pending.reject(error)
      return
    }
    const message = parsed.data
    switch (message.type) {
      case 'status':
        this.#options.onStatus?.(message.status)
        return
      case 'progress':
        this.#pending.get(message.id)?.progress(message.value)
        return
      case 'result':
        this.#take(message.id)?.resolve(message.output)
        return
      case 'failure':
        this.#take(message.id)?.reject(fromWire(message.error))
    }
  }
}

const cancelled = (name: CallName) => new PatchbayError('run.cancelled', `${name} was cancelled.`)

const misfit = (what: string, error: z.ZodError) =>
  new PatchbayError('internal', `${what} does not fit the contract, ${complaint(error)}.`, {
    next: 'This is a defect in Patchbay; please report it with what you did.',
  })

const idOf = (value: unknown): number =>
  typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'number' ? value.id : -1
