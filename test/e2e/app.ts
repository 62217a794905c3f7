/**
 * Drives the real app: the built bundles in a real Electron window, by Playwright, on a virtual display, with a user-data
 * folder of its own. Every end-to-end test starts here.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { _electron, type ElectronApplication, type Page } from 'playwright-core'
import { appEnvironment, machineSwitches, virtualSwitches } from '../../main/launch/app.mjs'
import { hasDisplay, virtualDisplay } from '../../main/launch/display.mjs'
import { root } from '../../main/launch/folders.mjs'
import { presentRuntime } from '../../main/launch/runtime.mjs'

export interface RunningApp {
  electron: ElectronApplication
  page: Page
  userData: string
  /** Errors of the page: uncaught exceptions, console errors (a violated content security policy is one). */
  errors: string[]
  /** Quits the app as a person would, and removes its folder unless it was handed in. */
  close(): Promise<void>
}

export interface LaunchOptions {
  /** As after `npm start --`. */
  args?: string[]
  /** To start twice on the same folder. */
  userData?: string
}

export async function launchApp({ args = [], userData }: LaunchOptions = {}): Promise<RunningApp> {
  const runtime = presentRuntime(root)
  if (runtime === null)
    throw new Error('There is no Electron runtime here yet; "npm test" or "npm start" fetches one.')
  const display = hasDisplay() ? null : await virtualDisplay({ oneApp: true })
  const folder = userData ?? mkdtempSync(path.join(os.tmpdir(), 'patchbay-e2e-'))
  const environment = appEnvironment(runtime, display === null ? {} : { DISPLAY: display.display })
  const electron = await _electron.launch({
    executablePath: runtime.executable,
    args: [...machineSwitches(environment), ...virtualSwitches, root, '--user-data-dir', folder, ...args],
    env: environment,
    cwd: root,
  })
  const errors: string[] = []
  electron.context().on('weberror', (event) => errors.push(event.error().message))
  electron.context().on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  const page = await electron.firstWindow()
  return {
    electron,
    page,
    userData: folder,
    errors,
    close: async () => {
      await electron.close()
      await display?.stop()
      if (userData === undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/**
 * The process id of the running engine.
 * @throws when there is none
 */
export async function enginePid(electron: ElectronApplication): Promise<number> {
  const pid = await electron.evaluate(
    ({ app }) => app.getAppMetrics().find((metric) => metric.name === 'Patchbay engine')?.pid,
  )
  if (pid === undefined) throw new Error('There is no engine process.')
  return pid
}
