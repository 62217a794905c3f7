/** Joins the window to the engine process: takes the ports that the shell posts, follows the engine's state. */
import { enginePortMessage } from '../preload/shell'
import type { EngineState, ShellBridge } from '../preload/shell'
import type { EngineClient } from './client'
import type { useEngine } from './stores/engine'
import { portTransport } from './transport'

/** @returns a function that ends it */
export function linkEngine(
  shell: ShellBridge,
  client: EngineClient,
  engine: ReturnType<typeof useEngine>,
): () => void {
  let heard = false
  function onState(state: EngineState): void {
    heard = true
    engine.setState(state)
    if (state.status === 'ready') return
    client.disconnect(state.reason ?? undefined)
    engine.setConnected(false)
  }
  function onMessage(event: MessageEvent): void {
    if (event.source !== window || event.origin !== window.location.origin) return
    const message = enginePortMessage.safeParse(event.data)
    if (!message.success) return
    const [port] = event.ports
    if (port === undefined) return
    // A port of a process that has ended meanwhile.
    if (message.data.generation < engine.state.generation) {
      port.close()
      return
    }
    client.connect(portTransport(port, () => engine.setConnected(false)))
    engine.setConnected(true)
  }

  window.addEventListener('message', onMessage)
  const off = shell.onEngineState(onState)
  void shell
    .engineState()
    .then((state) => {
      // An event that came while this was on its way is newer.
      if (!heard) onState(state)
      return shell.requestEnginePort()
    })
    .catch((thrown: unknown) => {
      onState({
        status: 'stopped',
        generation: engine.state.generation,
        reason: `The engine can not be reached: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        stderr: null,
      })
    })
  return () => {
    off()
    window.removeEventListener('message', onMessage)
    client.disconnect()
  }
}
