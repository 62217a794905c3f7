/** Processes of their own that tasks time or measure: the command line started anew. */
import { spawn } from 'node:child_process'
import { PatchbayError } from '../../../preload/errors'

/** How the command line is started anew, and how it was told which model. */
export interface Restart {
  script: string
  modelName: string
  provider: string
}

/** Arguments of a child that opens the same model. */
export const childArguments = ({ script, modelName, provider }: Restart): string[] => [
  script,
  'bench',
  '--model',
  modelName,
  '--provider',
  provider,
]

/**
 * Starts Node and waits until it prints a line that begins with `mark`.
 * @returns seconds from the start to that line, and what follows the mark in it
 * @throws PatchbayError `run.failed` where it ends without
 */
export function untilPrinted(
  args: readonly string[],
  mark: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<{ seconds: number; text: string }> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...environment },
    })
    let printed = ''
    let seconds: number | null = null
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
      if (seconds === null && found(printed, mark) !== null) seconds = (performance.now() - start) / 1000
    })
    child.once('error', reject)
    child.once('exit', (code) => {
      const text = found(printed, mark)
      if (code === 0 && seconds !== null && text !== null) resolve({ seconds, text })
      else
        reject(new PatchbayError('run.failed', `A child process ended with code ${code} before it was done.`))
    })
  })
}

function found(printed: string, mark: string): string | null {
  const line = printed.split('\n').find((one) => one.startsWith(mark))
  return line === undefined ? null : line.slice(mark.length)
}
