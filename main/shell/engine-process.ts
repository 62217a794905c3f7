/** The engine as an Electron utility process, in the form the supervisor wants. */
import { utilityProcess, type MessagePortMain } from 'electron'
import type { EngineProcess } from './supervisor'

/** @param entry absolute path of the engine's bundle */
export function forkEngine(entry: string): EngineProcess<MessagePortMain> {
  const child = utilityProcess.fork(entry, [], {
    serviceName: 'Patchbay engine',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let killed = false
  child.once('spawn', () => {
    if (killed) endHard(child.pid)
  })
  return {
    post: (message, port) => child.postMessage(message, port === undefined ? [] : [port]),
    kill: () => {
      killed = true
      endHard(child.pid)
    },
    onMessage: (listener) => void child.on('message', listener),
    onStderr: (listener) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding('utf8')
        stream?.on('data', (text: string) => {
          listener(text)
          // Standard output belongs to reports.
          process.stderr.write(text)
        })
      }
    },
    onExit: (listener) => void child.once('exit', listener),
  }
}

/** A process inside a native call hears no polite signal. */
function endHard(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // ESRCH: it ended by itself in the meantime.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
