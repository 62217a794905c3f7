/** A display to open the window on: the person's, or a virtual one. */
import { spawn } from 'node:child_process'
import { LaunchProblem } from './say.mjs'

/** @param {NodeJS.ProcessEnv} environment @param {NodeJS.Platform} platform */
export function hasDisplay(environment = process.env, platform = process.platform) {
  return platform !== 'linux' || Boolean(environment.DISPLAY) || Boolean(environment.WAYLAND_DISPLAY)
}

/**
 * Starts Xvfb on a free display number.
 * @param {{ width?: number, height?: number, oneApp?: boolean }} [options] `oneApp`: it ends by itself with the app it was
 *   started for, also where this process is killed and can not end it
 * @returns {Promise<{ display: string, stop: () => Promise<void> }>}
 */
export async function virtualDisplay({ width = 1920, height = 1200, oneApp = false } = {}) {
  // Xvfb chooses a free number itself and writes it to file descriptor 3.
  const args = [
    '-displayfd',
    '3',
    '-screen',
    '0',
    `${width}x${height}x24`,
    '-nolisten',
    'tcp',
    ...(oneApp ? ['-terminate'] : []),
  ]
  const child = spawn('Xvfb', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  const ended = new Promise((resolve) => child.once('close', resolve))
  const number = await new Promise((resolve, reject) => {
    let text = ''
    child.stdio[3]?.on('data', (bytes) => {
      text += String(bytes)
      if (text.endsWith('\n')) resolve(text.trim())
    })
    const problem = (/** @type {string} */ why) =>
      reject(new LaunchProblem(`No virtual display could be started: ${why}.`, 'Try by hand:  Xvfb :99'))
    child.once('error', (error) => problem(error.message))
    child.once('exit', (code, signal) => problem(`Xvfb ended with ${signal ?? `code ${code}`}`))
  })
  return {
    display: `:${number}`,
    stop: async () => {
      process.off('exit', end)
      child.kill('SIGTERM')
      await ended
    },
  }
}

/**
 * Runs one app on a virtual display of its own.
 * @template T
 * @param {(display: string) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function onVirtualDisplay(work) {
  const { display, stop } = await virtualDisplay({ oneApp: true })
  try {
    return await work(display)
  } finally {
    await stop()
  }
}
