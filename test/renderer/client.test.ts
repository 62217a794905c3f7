import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { PatchbayError } from '../../preload/errors'
import { EngineClient } from '../../renderer/client'
import { portTransport } from '../../renderer/transport'
import { FakeEngine, status } from './support/fake-engine'

const rejection = (promise: Promise<unknown>): Promise<PatchbayError> =>
  promise.then(
    () => Promise.reject(new Error('did not reject')),
    (thrown: PatchbayError) => thrown,
  )

describe('the engine client', () => {
  let engine: FakeEngine
  let client: EngineClient
  const hardCancel = vi.fn()
  const onStatus = vi.fn()
  const onBadMessage = vi.fn()

  beforeEach(() => {
    vi.useFakeTimers()
    engine = new FakeEngine()
    client = new EngineClient({ hardCancel, onStatus, onBadMessage })
    client.connect(engine.transport())
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.clearAllMocks()
  })

  it('resolves with the output of the call', async () => {
    await expect(client.call('engine.status', {})).resolves.toEqual(status)
  })

  it('keeps typed arrays as they are', async () => {
    const lens = await client.call('lens.map', { model: 'm', tokens: [1, 2, 3] })
    expect(lens.topProbabilities.data).toBeInstanceOf(Float32Array)
    expect(lens.topIds.shape).toEqual([5, 3])
  })

  it('refuses wrong input without sending it', async () => {
    const error = await rejection(client.call('lens.map', { model: 'm', tokens: [] }))
    expect(error.code).toBe('input.invalid')
    expect(error.message).toContain('tokens')
    expect(engine.seen).toEqual([])
  })

  it('rejects with engine.stopped when there is no engine', async () => {
    client.disconnect()
    expect((await rejection(client.call('engine.status', {}))).code).toBe('engine.stopped')
  })

  it('rejects everything pending as soon as the port closes', async () => {
    engine.held.add('lens.map').add('logits.next')
    const first = rejection(client.call('lens.map', { model: 'm', tokens: [1] }))
    const second = rejection(client.call('logits.next', { model: 'm', tokens: [1], position: 0 }))
    engine.die()
    expect((await first).code).toBe('engine.stopped')
    expect((await second).code).toBe('engine.stopped')
    expect(client.connected).toBe(false)
  })

  it('rejects calls of the engine before when another one is connected, and ignores its late answers', async () => {
    engine.held.add('engine.status')
    const old = rejection(client.call('engine.status', {}))
    const next = new FakeEngine()
    client.connect(next.transport())
    expect((await old).code).toBe('engine.stopped')
    const pending = client.call('library.list', {})
    engine.say({ type: 'result', id: next.last('library.list').id, output: 'not of this engine' })
    await expect(pending).resolves.toHaveLength(2)
  })

  it('turns a failure into the PatchbayError that the engine raised', async () => {
    engine.held.add('model.close')
    const failed = rejection(client.call('model.close', { model: 'm' }))
    engine.say({
      type: 'failure',
      id: 0,
      error: { code: 'model.not-open', message: 'There is no such model.', next: 'Open it.', field: 'model' },
    })
    expect(await failed).toMatchObject({ code: 'model.not-open', next: 'Open it.', field: 'model' })
  })

  it('reports progress, and nothing that does not fit', async () => {
    engine.held.add('lens.map')
    const onProgress = vi.fn()
    const call = client.call('lens.map', { model: 'm', tokens: [1] }, { onProgress })
    const { id } = engine.last('lens.map')
    engine.say({ type: 'progress', id, value: { done: 1, total: 4 } })
    engine.say({ type: 'progress', id, value: { done: 'x' } })
    engine.say({ type: 'progress', id: 99, value: { done: 1, total: 4 } })
    await engine.release('lens.map')
    await call
    expect(onProgress.mock.calls).toEqual([[{ done: 1, total: 4 }]])
    expect(onBadMessage).toHaveBeenCalledOnce()
  })

  it('rejects an answer that does not fit the contract and says where', async () => {
    engine.held.add('engine.status')
    const call = rejection(client.call('engine.status', {}))
    engine.say({ type: 'result', id: 0, output: { ...status, memory: 'much' } })
    const error = await call
    expect(error.code).toBe('internal')
    expect(error.message).toContain('memory')
  })

  it('rejects the call that a malformed message names', async () => {
    engine.held.add('engine.status')
    const call = rejection(client.call('engine.status', {}))
    engine.say({ type: 'failure', id: 0, error: { code: 'no-such-code', message: 1 } })
    expect((await call).code).toBe('internal')
  })

  it('survives messages that are no messages', () => {
    for (const message of [undefined, null, 7, 'hello', [], { type: 'shutdown' }, { id: 3 }])
      engine.say(message)
    expect(onBadMessage).toHaveBeenCalledTimes(7)
  })

  it('hands status messages on', () => {
    engine.say({ type: 'status', status })
    expect(onStatus).toHaveBeenCalledWith(status)
  })

  it('asks the engine to cancel, and rejects when it has', async () => {
    engine.held.add('lens.map')
    const abort = new AbortController()
    const call = rejection(client.call('lens.map', { model: 'm', tokens: [1] }, { signal: abort.signal }))
    abort.abort()
    expect((await call).code).toBe('run.cancelled')
    expect(engine.cancelled).toEqual([0])
    await vi.advanceTimersByTimeAsync(10_000)
    expect(hardCancel).not.toHaveBeenCalled()
  })

  it('asks the shell for a hard cancel when a cancelled call does not settle within 3 seconds', async () => {
    engine.held.add('lens.map')
    engine.obedient = false
    const abort = new AbortController()
    const call = rejection(client.call('lens.map', { model: 'm', tokens: [1] }, { signal: abort.signal }))
    abort.abort()
    await vi.advanceTimersByTimeAsync(2999)
    expect(hardCancel).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(hardCancel).toHaveBeenCalledOnce()
    engine.die()
    expect((await call).code).toBe('engine.stopped')
  })

  it('sends nothing for a signal that is aborted already', async () => {
    const error = await rejection(client.call('engine.status', {}, { signal: AbortSignal.abort() }))
    expect(error.code).toBe('run.cancelled')
    expect(engine.seen).toEqual([])
  })

  it('ignores an abort after the call has settled', async () => {
    const abort = new AbortController()
    await client.call('engine.status', {}, { signal: abort.signal })
    abort.abort()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(engine.cancelled).toEqual([])
    expect(hardCancel).not.toHaveBeenCalled()
  })
})

describe('a transport over a MessagePort', () => {
  it('carries messages both ways and tells when the other end is gone', async () => {
    const { port1, port2 } = new MessageChannel()
    const received: unknown[] = []
    const closed = new Promise<void>((resolve) => {
      const transport = portTransport(port1)
      transport.listen({ message: (value) => received.push(value), closed: resolve })
      transport.post({ hello: 'engine' })
    })
    const heard = await new Promise<unknown>((resolve) => {
      port2.onmessage = (event: MessageEvent) => resolve(event.data)
    })
    port2.postMessage(new Float32Array([1, 2]))
    port2.close()
    await closed
    expect(heard).toEqual({ hello: 'engine' })
    expect(received).toEqual([new Float32Array([1, 2])])
  })
})
