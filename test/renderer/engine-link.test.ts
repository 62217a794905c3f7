import { afterEach, describe, expect, it } from 'vitest'
import { flushPromises } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { EngineClient } from '../../renderer/client'
import { linkEngine } from '../../renderer/engine-link'
import { useEngine } from '../../renderer/stores/engine'
import { status } from './support/fake-engine'
import { FakeShell } from './support/fake-shell'

/** A port as far as the transport uses it; messages to it are answered with the engine's status. */
class FakePort extends EventTarget {
  closed = false
  posted: unknown[] = []
  start(): void {}
  close(): void {
    this.closed = true
  }
  postMessage(message: unknown): void {
    this.posted.push(message)
  }
  receive(data: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data }))
  }
}

let end: (() => void) | null = null
function link() {
  setActivePinia(createPinia())
  const shell = new FakeShell()
  const client = new EngineClient()
  const engine = useEngine()
  end = linkEngine(shell, client, engine)
  return { shell, client, engine }
}
/** What the preload script posts to the page. */
function offer(
  port: FakePort,
  generation: number,
  origin = window.location.origin,
  source: unknown = window,
): void {
  const event = new MessageEvent('message', { data: { type: 'patchbay:engine-port', generation }, origin })
  Object.defineProperty(event, 'source', { value: source })
  Object.defineProperty(event, 'ports', { value: [port] })
  window.dispatchEvent(event)
}

afterEach(() => {
  end?.()
  end = null
})

describe('the link to the engine', () => {
  it('asks for a port and talks through the one that comes', async () => {
    const { client, engine } = link()
    await flushPromises()
    expect(engine.ready).toBe(false)
    const port = new FakePort()
    offer(port, 1)
    expect(engine.ready).toBe(true)
    const call = client.call('engine.status', {})
    expect(port.posted).toEqual([{ type: 'call', id: 0, call: 'engine.status', input: {} }])
    port.receive({ type: 'result', id: 0, output: status })
    await expect(call).resolves.toEqual(status)
  })

  it('takes no port from another origin, another window, or of a process that has ended', async () => {
    const { engine, shell } = link()
    await flushPromises()
    shell.tell({ generation: 3 })
    const old = new FakePort()
    offer(old, 2)
    offer(new FakePort(), 3, 'https://elsewhere.example')
    offer(new FakePort(), 3, window.location.origin, null)
    expect(engine.connected).toBe(false)
    expect(old.closed).toBe(true)
  })

  it('rejects what is pending as soon as the shell says that the engine is not ready', async () => {
    const { client, engine, shell } = link()
    await flushPromises()
    offer(new FakePort(), 1)
    const call = client.call('engine.status', {})
    shell.tell({ status: 'restarting', reason: 'It ended with exit code 11.' })
    await expect(call).rejects.toMatchObject({
      code: 'engine.stopped',
      message: 'It ended with exit code 11.',
    })
    expect(engine.ready).toBe(false)
    shell.tell({ status: 'ready', generation: 2 })
    offer(new FakePort(), 2)
    expect(engine.ready).toBe(true)
    expect(engine.connection).toBe(2)
  })

  it('rejects what is pending as soon as the port closes', async () => {
    const { client, engine } = link()
    await flushPromises()
    const port = new FakePort()
    offer(port, 1)
    const call = client.call('engine.status', {})
    port.dispatchEvent(new Event('close'))
    await expect(call).rejects.toMatchObject({ code: 'engine.stopped' })
    expect(engine.ready).toBe(false)
  })

  it('keeps an event that came before the answer to its first question', async () => {
    const { engine, shell } = link()
    const asked = shell.state
    shell.tell({ status: 'restarting', generation: 2 })
    shell.state = asked
    await flushPromises()
    expect(engine.state.status).toBe('restarting')
  })

  it('says so when the shell can not be asked', async () => {
    setActivePinia(createPinia())
    const shell = new FakeShell()
    shell.engineState = () => Promise.reject(new Error('internal: no answer'))
    const engine = useEngine()
    end = linkEngine(shell, new EngineClient(), engine)
    await flushPromises()
    expect(engine.state).toMatchObject({ status: 'stopped' })
    expect(engine.state.reason).toContain('no answer')
  })
})
