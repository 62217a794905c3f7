/** A window with a fake engine and a fake shell, ready for stores and components. */
import { createPinia, setActivePinia } from 'pinia'
import { EngineClient } from '../../../renderer/client'
import { setServices } from '../../../renderer/services'
import { useEngine } from '../../../renderer/stores/engine'
import { FakeEngine, usual } from './fake-engine'
import { FakeShell } from './fake-shell'

export function setUp(engine = new FakeEngine(usual())) {
  const pinia = createPinia()
  setActivePinia(pinia)
  const shell = new FakeShell()
  const client = new EngineClient({ hardCancel: () => void shell.hardCancel() })
  setServices({ engine: client, shell })
  const store = useEngine()
  /** The engine process is there (again). */
  const connect = (next = engine) => {
    client.connect(next.transport())
    store.setState({ status: 'ready', generation: store.state.generation + 1, reason: null, stderr: null })
    store.setConnected(true)
  }
  /** The engine process is gone. */
  const lose = (status: 'restarting' | 'stopped' = 'restarting') => {
    engine.die()
    store.setState({ ...store.state, status, reason: 'It ended with exit code 11.' })
    store.setConnected(false)
  }
  connect()
  return { engine, shell, client, pinia, connect, lose }
}
