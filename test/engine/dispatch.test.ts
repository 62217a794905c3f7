import { MessageChannel } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import type { EngineMessage } from '../../preload/api'
import { callNames } from '../../preload/api'
import { PatchbayError } from '../../preload/errors'
import { callHandler, Connection } from '../../main/engine/dispatch'
import type { Handler, Handlers } from '../../main/engine/handler'
import { nodePort } from '../../main/engine/ports'

const refuse = (): never => {
  throw new PatchbayError('internal', 'not part of this test')
}

/** Handlers of which only `library.list` and `library.forget` do something. */
function handlersWith(
  list: Handler<'library.list'>,
  forget: Handler<'library.forget'> = () => ({}),
): Handlers {
  const all = Object.fromEntries(callNames.map((name) => [name, refuse])) as unknown as Handlers
  return { ...all, 'library.list': list, 'library.forget': forget }
}

const channels: MessageChannel[] = []
afterEach(() => channels.splice(0).forEach((channel) => channel.port1.close()))

function connect(handlers: Handlers): {
  send: (message: unknown) => void
  next: () => Promise<EngineMessage>
  close: () => void
} {
  const channel = new MessageChannel()
  channels.push(channel)
  new Connection(handlers, nodePort(channel.port2))
  const received: EngineMessage[] = []
  const waiting: ((message: EngineMessage) => void)[] = []
  channel.port1.on('message', (message: EngineMessage) => {
    const resolve = waiting.shift()
    if (resolve === undefined) received.push(message)
    else resolve(message)
  })
  return {
    send: (message) => channel.port1.postMessage(message),
    next: () => {
      const message = received.shift()
      return message === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(message)
    },
    close: () => channel.port1.close(),
  }
}

describe('a connection to the engine', () => {
  it('answers a call with its result', async () => {
    const client = connect(handlersWith(() => []))
    client.send({ type: 'call', id: 1, call: 'library.list', input: {} })
    expect(await client.next()).toEqual({ type: 'result', id: 1, output: [] })
  })

  it('answers an unknown call, a wrong input and a malformed message with a typed failure', async () => {
    const client = connect(handlersWith(() => []))
    client.send({ type: 'call', id: 1, call: 'no.such', input: {} })
    expect(await client.next()).toMatchObject({ type: 'failure', id: 1, error: { code: 'input.invalid' } })
    client.send({ type: 'call', id: 2, call: 'library.forget', input: { id: 5 } })
    expect(await client.next()).toMatchObject({
      type: 'failure',
      id: 2,
      error: { code: 'input.invalid', field: 'id' },
    })
    client.send({ type: 'shout', id: 3 })
    expect(await client.next()).toMatchObject({ type: 'failure', id: 3, error: { code: 'input.invalid' } })
    client.send({ type: 'call', id: 4, call: '__proto__', input: {} })
    expect(await client.next()).toMatchObject({ type: 'failure', id: 4, error: { code: 'input.invalid' } })
  })

  it('cancels a running call and says so', async () => {
    const client = connect(
      handlersWith(
        (_input, { signal }) =>
          new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason as Error)),
          ),
      ),
    )
    client.send({ type: 'call', id: 7, call: 'library.list', input: {} })
    client.send({ type: 'cancel', id: 7 })
    expect(await client.next()).toMatchObject({ type: 'failure', id: 7, error: { code: 'run.cancelled' } })
  })

  it('cancels what a client left behind when it went away', async () => {
    const aborted = new Promise<void>((resolve) => {
      const client = connect(
        handlersWith((_input, { signal }) => {
          signal.addEventListener('abort', () => resolve())
          client.close()
          return new Promise(() => undefined)
        }),
      )
      client.send({ type: 'call', id: 1, call: 'library.list', input: {} })
    })
    await aborted
  })

  it('turns what a handler throws into an error with a code, also where it is no error of ours', async () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', path: '/x/y' })
    const client = connect(
      handlersWith(() => {
        throw full
      }),
    )
    client.send({ type: 'call', id: 1, call: 'library.list', input: {} })
    expect(await client.next()).toMatchObject({
      type: 'failure',
      id: 1,
      error: { code: 'disk.full', file: '/x/y' },
    })
  })
})

describe('a direct call', () => {
  it('is validated like one over a port', async () => {
    const handlers = handlersWith(() => [])
    await expect(
      callHandler(handlers, 'library.forget', { id: 3 as unknown as string }),
    ).rejects.toMatchObject({
      code: 'input.invalid',
    })
  })

  it('does not start when it is cancelled already', async () => {
    const handlers = handlersWith(() => [])
    const controller = new AbortController()
    controller.abort(new PatchbayError('run.cancelled', 'Stopped.'))
    await expect(
      callHandler(handlers, 'library.list', {}, { signal: controller.signal }),
    ).rejects.toMatchObject({
      code: 'run.cancelled',
    })
  })
})
