/**
 * The engine process as the app runs it (an Electron utility process): waits for `init` from the shell, then serves each
 * port that the shell hands over. Everything else is in engine.ts, which also runs under plain Node.
 */
import { PatchbayError } from '../../preload/errors'
import { toEngineMessage, type FromEngineMessage } from '../../preload/shell'
import { Engine } from './engine'
import { electronPort, type ElectronPort } from './ports'

/** What Electron adds to `process` in a utility process. */
interface ParentPort {
  postMessage(message: FromEngineMessage): void
  on(event: 'message', listener: (event: { data: unknown; ports: ElectronPort[] }) => void): unknown
}

function parentPort(): ParentPort {
  if ('parentPort' in process) return process.parentPort
  throw new PatchbayError('internal', 'The engine entry runs only as a utility process of the app.')
}

const parent = parentPort()
let engine: Engine | null = null

parent.on('message', (event) => {
  const message = toEngineMessage.parse(event.data)
  switch (message.type) {
    case 'init': {
      engine = new Engine(message)
      engine.onOpenModels((models) => parent.postMessage({ type: 'open-models', models }))
      engine.reopen(message.openModels)
      engine.goOnWithJobs()
      parent.postMessage({ type: 'ready' })
      break
    }
    case 'connect': {
      const [port] = event.ports
      if (engine === null || port === undefined)
        throw new PatchbayError('internal', 'The shell connected a window before it started the engine.')
      engine.connect(electronPort(port))
      break
    }
    case 'ping': {
      parent.postMessage({ type: 'pong', id: message.id })
      break
    }
    case 'shutdown': {
      const closing = engine === null ? Promise.resolve() : engine.close()
      void closing.finally(() => process.exit(0))
      break
    }
  }
})
