/** The worker's side of a `WorkerThread`: answers one message after the other. */
import { parentPort } from 'node:worker_threads'
import { asPatchbayError, toWire } from '../../../preload/errors'
import type { CallMap, WorkerMessage, WorkerRequest } from './protocol'

export type Serving<Calls extends CallMap<Calls>> = {
  [N in keyof Calls]: (
    input: Calls[N]['input'],
    progress: (value: number) => void,
  ) => Promise<Calls[N]['output']> | Calls[N]['output']
}

/** Serves calls of the thread that started this one, in their order. */
export function serve<Calls extends CallMap<Calls>>(handlers: Serving<Calls>): void {
  const port = parentPort
  if (port === null) return
  let queue: Promise<void> = Promise.resolve()
  port.on('message', (request: WorkerRequest<Calls>) => {
    const send = (message: WorkerMessage): void => port.postMessage(message)
    queue = queue.then(async () => {
      const { id, call, input } = request
      try {
        const output = await handlers[call](input, (progress) => send({ id, progress }))
        send({ id, output })
      } catch (error) {
        send({ id, error: toWire(asPatchbayError(error)) })
      }
    })
  })
}
