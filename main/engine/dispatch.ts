/**
 * From a validated message to a handler and back: the engine's side of the contract. It knows nothing of what carries
 * the messages: a MessagePort in the app, a direct call under plain Node.
 */
import { z } from 'zod'
import {
  calls,
  clientMessage,
  type CallInput,
  type CallName,
  type CallOutput,
  type CallProgress,
} from '../../preload/api'
import type { EngineMessage, EngineStatus } from '../../preload/api'
import { asPatchbayError, PatchbayError, toWire } from '../../preload/errors'
import type { Handlers } from './handler'

export interface CallOptions<N extends CallName> {
  signal?: AbortSignal
  onProgress?: (value: CallProgress<N>) => void
}

/**
 * Validates the input of one call and runs its handler.
 * @throws PatchbayError `input.invalid` naming the field, `run.cancelled`, or what the handler throws
 */
export async function callHandler<N extends CallName>(
  handlers: Handlers,
  name: N,
  input: CallInput<N>,
  options: CallOptions<N> = {},
): Promise<CallOutput<N>> {
  const parsed = calls[name].input.safeParse(input)
  if (!parsed.success) throw invalidInput(`The call ${name}`, parsed.error)
  const signal = options.signal ?? new AbortController().signal
  signal.throwIfAborted()
  const context = { signal, progress: options.onProgress ?? (() => undefined) }
  return handlers[name](parsed.data as Parameters<Handlers[N]>[0], context)
}

/** A schema failure as one sentence that names the first wrong field. */
export function invalidInput(what: string, error: z.ZodError): PatchbayError {
  const [issue] = error.issues
  const field = issue.path.map(String).join('.')
  return new PatchbayError(
    'input.invalid',
    `${what} does not fit: ${field === '' ? '' : `${field}: `}${issue.message}.`,
    {
      field: field === '' ? undefined : field,
      next: 'Correct the named field and try again.',
      cause: error,
    },
  )
}

/** The half of a MessagePort that a connection needs; the same for Electron's ports and Node's. */
export interface EnginePort {
  postMessage(message: EngineMessage): void
  onMessage(listener: (data: unknown) => void): void
  onClose(listener: () => void): void
}

/** One connected client: its pending calls are cancelled when it goes away. */
export class Connection {
  private readonly pending = new Map<number, AbortController>()

  constructor(
    private readonly handlers: Handlers,
    private readonly port: EnginePort,
  ) {
    port.onMessage((data) => this.receive(data))
    port.onClose(() => this.cancelAll())
  }

  /** Tells the client how the engine is; not the answer to any call. */
  sendStatus(status: EngineStatus): void {
    this.port.postMessage({ type: 'status', status })
  }

  cancelAll(): void {
    for (const controller of this.pending.values()) controller.abort(cancelled())
    this.pending.clear()
  }

  private receive(data: unknown): void {
    const parsed = clientMessage.safeParse(data)
    if (!parsed.success) {
      const id = z.object({ id: z.number().int() }).safeParse(data)
      // A message without a usable id can be answered to nobody; the client's own validation makes it impossible.
      if (id.success) this.fail(id.data.id, invalidInput('The message', parsed.error))
      return
    }
    const message = parsed.data
    if (message.type === 'cancel') {
      this.pending.get(message.id)?.abort(cancelled())
      return
    }
    void this.run(message.id, message.call, message.input)
  }

  private async run(id: number, name: string, input: unknown): Promise<void> {
    if (!isCallName(name)) {
      this.fail(id, new PatchbayError('input.invalid', `There is no call named ${JSON.stringify(name)}.`))
      return
    }
    if (this.pending.has(id)) {
      this.fail(id, new PatchbayError('input.invalid', `The call id ${id} is in use.`))
      return
    }
    const controller = new AbortController()
    this.pending.set(id, controller)
    try {
      const output = await callHandler(this.handlers, name, input as CallInput<typeof name>, {
        signal: controller.signal,
        onProgress: (value) => {
          if (!controller.signal.aborted) this.port.postMessage({ type: 'progress', id, value })
        },
      })
      this.port.postMessage({ type: 'result', id, output })
    } catch (thrown) {
      this.fail(id, controller.signal.aborted ? cancelled() : asPatchbayError(thrown))
    } finally {
      this.pending.delete(id)
    }
  }

  private fail(id: number, error: PatchbayError): void {
    this.port.postMessage({ type: 'failure', id, error: toWire(error) })
  }
}

const isCallName = (name: string): name is CallName => Object.hasOwn(calls, name)

const cancelled = (): PatchbayError => new PatchbayError('run.cancelled', 'The run was cancelled.')
