/** The shell with a real window and a real engine process: what it keeps out, and what it keeps alive. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineState, ShellBridge, ShellCommand } from '../../preload/shell'
import { appEnvironment, machineSwitches, virtualSwitches } from '../../main/launch/app.mjs'
import { root } from '../../main/launch/folders.mjs'
import { presentRuntime } from '../../main/launch/runtime.mjs'
import { enginePid, launchApp, type RunningApp } from './app'

/** The page's globals, as far as the functions below use them in the page. */
interface PageGlobals {
  patchbay: ShellBridge
  states: EngineState[]
  commands: ShellCommand[]
}
declare const window: PageGlobals
declare const document: {
  body: { append(node: unknown): void }
  createElement(name: string): { textContent: string }
}

let running: RunningApp

beforeAll(async () => {
  running = await launchApp()
  await running.page.waitForFunction(async () => (await window.patchbay.engineState()).status === 'ready')
  await running.page.evaluate(() => {
    window.states = []
    window.commands = []
    window.patchbay.onEngineState((state) => window.states.push(state))
    window.patchbay.onCommand((command) => window.commands.push(command))
  })
})
afterAll(async () => {
  await running.close()
})

/** Waits until the page has seen an engine of a later generation become ready. */
async function untilReadyAgain(after: number): Promise<void> {
  await running.page.waitForFunction(
    (generation) => window.states.some((state) => state.status === 'ready' && state.generation > generation),
    after,
  )
}
const generation = (): Promise<number> =>
  running.page.evaluate(async () => (await window.patchbay.engineState()).generation)

describe('the window', () => {
  it('is served from app://patchbay and has no Node in it', async () => {
    expect(running.page.url()).toBe('app://patchbay/index.html')
    const globals = await running.page.evaluate(() =>
      ['require', 'process', 'module', 'Buffer'].filter((name) => name in window),
    )
    expect(globals).toEqual([])
  })

  it('is sandboxed and isolated, as Electron sees it', async () => {
    const preferences = await running.electron.evaluate(({ BrowserWindow }) => {
      const contents = BrowserWindow.getAllWindows()[0]?.webContents
      // Not in the public types, and the only way to ask what is really in force.
      const inForce = (
        contents as unknown as { getLastWebPreferences(): Record<string, unknown> }
      ).getLastWebPreferences()
      return {
        sandbox: inForce['sandbox'],
        isolation: inForce['contextIsolation'],
        node: inForce['nodeIntegration'],
      }
    })
    expect(preferences).toEqual({ sandbox: true, isolation: true, node: false })
  })

  it('runs no script that is written into it', async () => {
    await running.page.evaluate(() => {
      const script = document.createElement('script')
      script.textContent = 'window.intruder = true'
      document.body.append(script)
    })
    expect(await running.page.evaluate(() => 'intruder' in window)).toBe(false)
  })

  it('reaches neither the network nor other files', async () => {
    const answers = await running.page.evaluate(async () => {
      const tried = [
        'https://patchbay.example/',
        'http://127.0.0.1:1/',
        'file:///etc/hostname',
        'app://other/index.html',
      ]
      return Promise.all(
        tried.map((url) =>
          fetch(url).then(
            (response) => response.status,
            () => 'refused',
          ),
        ),
      )
    })
    expect(answers).toEqual(['refused', 'refused', 'refused', 'refused'])
    const outside = await running.page.evaluate(async () => (await fetch('/..%2f..%2fpackage.json')).status)
    expect(outside).toBe(404)
  })

  it('opens no further window', async () => {
    const opened = await running.page.evaluate(
      () =>
        (globalThis as unknown as { open(url: string): unknown }).open('https://patchbay.example/') === null,
    )
    expect(opened).toBe(true)
    expect(running.electron.windows()).toHaveLength(1)
  })

  it('is refused every permission it asks for', async () => {
    const denied = await running.page.evaluate(async () => {
      const page = window as unknown as {
        navigator: { permissions: { query(what: { name: string }): Promise<{ state: string }> } }
      }
      return (await page.navigator.permissions.query({ name: 'geolocation' })).state
    })
    expect(denied).toBe('denied')
  })
})

describe('the bridge', () => {
  it('refuses a call that fits no schema, in words', async () => {
    const message = await running.page.evaluate(async () => {
      const wrong = { suggestedName: 5, bytes: 'text', filters: [] } as never
      return window.patchbay.saveFile(wrong).then(
        () => 'accepted',
        (error: unknown) => String(error),
      )
    })
    expect(message).toMatch(/input\.invalid.*suggestedName/s)
  })

  it('saves the bytes of the page where the person chose', async () => {
    const file = path.join(running.userData, 'chosen.bin')
    await running.electron.evaluate(({ dialog }, chosen) => {
      dialog.showSaveDialog = async () => ({ canceled: false, filePath: chosen })
    }, file)
    const saved = await running.page.evaluate(() =>
      window.patchbay.saveFile({ suggestedName: 'x.bin', bytes: new Uint8Array([1, 2, 250]), filters: [] }),
    )
    expect(saved).toEqual({ path: file })
    expect([...readFileSync(file)]).toEqual([1, 2, 250])
  })

  it('carries the commands of the menu', async () => {
    await running.electron.evaluate(({ Menu }) => {
      Menu.getApplicationMenu()?.getMenuItemById('view.show.compare')?.click()
    })
    await running.page.waitForFunction(() =>
      window.commands.some((command) => command.id === 'view.show' && command.view === 'compare'),
    )
  })
})

describe('the engine', () => {
  it('that is killed is restarted, and the window stays', async () => {
    const before = await generation()
    const pid = await enginePid(running.electron)
    process.kill(pid, 'SIGKILL')
    await untilReadyAgain(before)
    const seen = await running.page.evaluate(() => window.states)
    const first = seen.find((state) => state.generation > before)
    expect(first).toMatchObject({
      status: 'restarting',
      reason: expect.stringContaining('signal 9') as unknown,
    })
    expect(await enginePid(running.electron)).not.toBe(pid)
    expect(running.page.isClosed()).toBe(false)
  })

  it('that hears nothing any more is replaced when the person asks', async () => {
    const before = await generation()
    const pid = await enginePid(running.electron)
    process.kill(pid, 'SIGSTOP')
    await running.page.evaluate(() => window.patchbay.restartEngine())
    await untilReadyAgain(before)
    expect(await enginePid(running.electron)).not.toBe(pid)
    expect(() => process.kill(pid, 0)).toThrow()
  })
})

it('hands the model of a second start to the running app', async () => {
  const runtime = presentRuntime(root)
  if (runtime === null) throw new Error('no runtime')
  const display = await running.electron.evaluate(() => process.env['DISPLAY'])
  const environment = appEnvironment(runtime, { DISPLAY: display })
  const args = [
    ...machineSwitches(environment),
    ...virtualSwitches,
    root,
    '--user-data-dir',
    running.userData,
    '/m.gguf',
  ]
  const second = spawn(runtime.executable, args, { env: environment, stdio: 'ignore' })
  expect(await new Promise((resolve) => second.once('exit', resolve))).toBe(0)
  await running.page.waitForFunction(() =>
    window.commands.some((command) => command.id === 'model.open-path' && command.path === '/m.gguf'),
  )
})

it('prints the first lens and saves a picture of the window where nobody looks', async () => {
  const folder = path.join(running.userData, 'report')
  const args = [path.join(root, 'main', 'launch', 'start.mjs'), '--headless', '--report', folder]
  const launcher = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  launcher.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  expect(await new Promise((resolve) => launcher.once('close', resolve))).toBe(0)
  expect(printed.trim().split('\n').length).toBeGreaterThan(1)
  const picture = path.join(folder, 'patchbay.png')
  expect(existsSync(picture) && statSync(picture).size).toBeGreaterThan(1000)
})
