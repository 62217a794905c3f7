/** Starts the app on a runtime, with the environment and the switches it needs here. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onVirtualDisplay } from './display.mjs'
import { graphicsEnvironment, makeRuntimeFolder } from './environment.mjs'
import { LaunchProblem, say } from './say.mjs'

/** @typedef {import('./runtime-official.mjs').Runtime} Runtime */

/**
 * @param {NodeJS.ProcessEnv} environment
 * @param {number | undefined} user
 * @returns {string[]} switches that the machine asks for, not the person
 */
export function machineSwitches(environment = process.env, user = process.getuid?.()) {
  const switches = []
  // Chromium refuses to start its sandbox as root.
  if (user === 0) switches.push('--no-sandbox')
  if (!environment.DISPLAY && environment.WAYLAND_DISPLAY) switches.push('--ozone-platform-hint=auto')
  return switches
}

/** On a virtual display there is no GPU to try, and no desktop whose absence is worth a line each time. */
export const virtualSwitches = ['--disable-gpu', '--log-level=3']

/**
 * @param {Runtime} runtime
 * @param {NodeJS.ProcessEnv} [more]
 * @returns {Record<string, string>}
 */
export function appEnvironment(runtime, more = {}) {
  const added = graphicsEnvironment(runtime.folder)
  makeRuntimeFolder(added)
  // Set in terminals inside Electron apps; with it, Electron would run as plain Node.
  const environment = { ...process.env, ...added, ...more, ELECTRON_RUN_AS_NODE: undefined }
  /** @type {Record<string, string>} */
  const defined = {}
  for (const [name, value] of Object.entries(environment)) if (value !== undefined) defined[name] = value
  return defined
}

/**
 * Runs the app by itself on a virtual display, with a user-data folder that is gone afterwards (unless `args` name one), so
 * that it neither sees nor disturbs the person's own.
 * @param {{ runtime: Runtime, root: string, args: string[] }} options
 * @returns {Promise<number>} its exit code
 */
export async function runUnattended({ runtime, root, args }) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-'))
  const own = args.includes('--user-data-dir') ? [] : ['--user-data-dir', folder]
  try {
    return await onVirtualDisplay((display) => runApp({ runtime, root, args: [...args, ...own], display }))
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/**
 * Runs the app until it ends.
 * @param {{ runtime: Runtime, root: string, args: string[], display?: string }} options
 * @returns {Promise<number>} its exit code
 */
export async function runApp({ runtime, root, args, display }) {
  const environment = appEnvironment(runtime, display === undefined ? {} : { DISPLAY: display })
  const switches = [...machineSwitches(environment), ...(display === undefined ? [] : virtualSwitches)]
  if (switches.includes('--no-sandbox')) say("Running as root: Chromium's sandbox is off (--no-sandbox).")
  const child = spawn(runtime.executable, [...switches, root, ...args], {
    stdio: 'inherit',
    env: environment,
  })
  const pass = (/** @type {NodeJS.Signals} */ signal) => void child.kill(signal)
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, pass)
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', (error) =>
        reject(
          new LaunchProblem(
            `Electron could not be started: ${error.message}.`,
            `Try:  ${runtime.executable} --version`,
          ),
        ),
      )
      child.once('exit', (code, signal) =>
        resolve(code ?? (signal === 'SIGINT' || signal === 'SIGTERM' ? 0 : 1)),
      )
    })
  } finally {
    for (const signal of signals) process.off(signal, pass)
  }
}
