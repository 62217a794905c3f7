/**
 * The bridge: runs sandboxed in front of the page and exposes exactly `ShellBridge` as `window.patchbay`. Nothing generic
 * crosses: every call has its own channel, and what goes out and comes back is validated here as well as in the shell.
 */
import { contextBridge, ipcRenderer, webUtils } from 'electron'
import { z } from 'zod'
import {
  appOrigin,
  callChannel,
  enginePortChannel,
  enginePortMessage,
  errorMessage,
  eventChannel,
  launchArgument,
  launchInfo,
  shellCalls,
  shellEvents,
  shellResult,
  type ShellBridge,
  type ShellCallInput,
  type ShellCallName,
  type ShellCallOutput,
  type ShellEventName,
} from './shell'

// The page's window, as far as it is used here; the engine's code is type-checked together with this file, without a DOM.
interface EnginePort {
  close(): void
}
declare const window: {
  postMessage(message: unknown, origin: string, ports: readonly EnginePort[]): void
  location: { origin: string; href: string }
}

// Zod would otherwise compile validators with `new Function`, which the page's content security policy reports.
z.config({ jitless: true })

async function call<N extends ShellCallName>(name: N, input: ShellCallInput<N>): Promise<ShellCallOutput<N>> {
  const checked = shellCalls[name].input.safeParse(input)
  if (!checked.success) {
    const message = `The call ${name} does not fit its schema: ${z.prettifyError(checked.error)}`
    throw new Error(errorMessage({ code: 'input.invalid', message }))
  }
  const result = shellResult.parse(await ipcRenderer.invoke(callChannel(name), checked.data))
  if (!result.ok) throw new Error(errorMessage(result.error))
  return shellCalls[name].output.parse(result.value) as ShellCallOutput<N>
}

function subscribe<N extends ShellEventName>(
  name: N,
  listener: (value: z.output<(typeof shellEvents)[N]>) => void,
): () => void {
  const forward = (_event: unknown, value: unknown): void => {
    const parsed = shellEvents[name].safeParse(value)
    if (parsed.success) listener(parsed.data as z.output<(typeof shellEvents)[N]>)
    else
      console.error(
        `Patchbay: an event ${name} that does not fit its schema was dropped.`,
        parsed.error.message,
      )
  }
  ipcRenderer.on(eventChannel(name), forward)
  return () => {
    ipcRenderer.off(eventChannel(name), forward)
  }
}

const launch = launchInfo.parse(
  JSON.parse(
    decodeURIComponent(
      process.argv.find((argument) => argument.startsWith(launchArgument))?.slice(launchArgument.length) ??
        'null',
    ),
  ),
)

ipcRenderer.on(enginePortChannel, (event: { ports: readonly EnginePort[] }, value: unknown) => {
  const message = enginePortMessage.safeParse(value)
  // A page that is not ours (a navigation that slipped through) never gets a port.
  if (!message.success || !window.location.href.startsWith(`${appOrigin}/`)) {
    for (const port of event.ports) port.close()
    return
  }
  window.postMessage(message.data, window.location.origin, event.ports)
})

const bridge: ShellBridge = {
  choosePath: (kind) => call('path.choose', { kind }),
  saveFile: ({ suggestedName, bytes, filters, beside }) =>
    call('file.save', { suggestedName, bytes, filters, beside }),
  openFile: ({ filters, maxBytes }) => call('file.open', { filters, maxBytes }),
  pathForFile: (file) => webUtils.getPathForFile(file),
  engineState: () => call('engine.state', {}),
  onEngineState: (listener) => subscribe('engine.state', listener),
  requestEnginePort: async () => void (await call('engine.port', {})),
  restartEngine: async () => void (await call('engine.restart', {})),
  hardCancel: async () => void (await call('engine.hardCancel', {})),
  onCommand: (listener) => subscribe('command', listener),
  launch: () => launch,
  reportFirstLens: async (text) => void (await call('report.firstLens', { text })),
  reportViewSettled: async (view, theme) => void (await call('report.viewSettled', { view, theme })),
  setTheme: async (theme) => void (await call('theme.set', { theme })),
  writeClipboard: async (text) => void (await call('clipboard.write', { text })),
}

contextBridge.exposeInMainWorld('patchbay', bridge)
