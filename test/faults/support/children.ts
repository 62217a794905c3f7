/** Bundles a child program of these tests and runs it until it ends or is killed. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface Program {
  /** Runs it; resolves with its lines when it has ended. @param killAfterMs SIGKILL so long after its first line */
  run(
    args: readonly string[],
    killAfterMs?: number,
    environment?: NodeJS.ProcessEnv,
  ): Promise<{ lines: string[]; signal: string | null; errors: string }>
  remove(): Promise<void>
}

/** @param computes whether it runs models: it then lies where it finds the runtime and the worker threads' scripts */
export async function bundled(source: string, computes = false): Promise<Program> {
  const result = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    ssr: { noExternal: true, external: computes ? ['onnxruntime-node'] : [] },
    build: {
      ssr: path.join(root, source),
      write: false,
      target: 'node20',
      minify: false,
      rolldownOptions: { output: { format: 'es', codeSplitting: false } },
    },
  })
  const chunk = [result].flat().flatMap((each) => ('output' in each ? each.output : []))[0]
  if (chunk?.type !== 'chunk') throw new Error(`${source} did not become a program.`)
  const scripts = path.join(root, 'dist/test')
  await mkdir(scripts, { recursive: true })
  const folder = computes ? scripts : await mkdtemp(path.join(os.tmpdir(), 'patchbay-child-'))
  const file = path.join(folder, `${path.basename(source, '.ts')}-${process.pid}.mjs`)
  await writeFile(file, chunk.code)
  return {
    run: (args, killAfterMs, environment = {}) => run(file, args, environment, killAfterMs),
    remove: () => rm(computes ? file : folder, { recursive: true, force: true }),
  }
}

function run(
  file: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  killAfterMs?: number,
): ReturnType<Program['run']> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    let text = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (data: string) => {
      if (text === '' && killAfterMs !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfterMs)
      text += data
    })
    child.stderr.setEncoding('utf8').on('data', (data: string) => (errors += data))
    child.on('error', reject)
    child.on('close', (_code, signal) => {
      // A last line without its end was not said.
      const lines = text.split('\n').slice(0, -1)
      resolve({ lines, signal, errors })
    })
  })
}
