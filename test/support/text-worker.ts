/**
 * Global set-up: bundles the worker threads' scripts to where the sources look for them first, so that tests run the workers
 * of these sources. Written aside and renamed, since several test runs may share the folder.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { workers } from '../../.config/workers.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

export default async function bundleWorkers(): Promise<void> {
  await Promise.all(Object.entries(workers).map(([name, source]) => bundle(name, source)))
}

async function bundle(name: string, source: string): Promise<void> {
  const script = `${name}.js`
  const result = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    ssr: { noExternal: true },
    build: {
      ssr: path.join(root, source),
      write: false,
      target: 'node20',
      minify: false,
      rolldownOptions: { output: { format: 'es', entryFileNames: script, codeSplitting: false } },
    },
  })
  const output = [result].flat().flatMap((each) => ('output' in each ? each.output : []))
  const chunk = output.find((each) => each.type === 'chunk')
  if (chunk?.type !== 'chunk' || output.length !== 1) throw new Error(`${script} did not become one file.`)
  const file = path.join(root, 'dist/test', script)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(`${file}.${process.pid}`, chunk.code)
  await rename(`${file}.${process.pid}`, file)
}
