/**
 * Global set-up: bundles the text worker to where the sources look for it first, so that tests run the worker of these
 * sources. Written aside and renamed, since several test runs may share the folder.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const root = fileURLToPath(new URL('../..', import.meta.url))

export default async function bundleTextWorker(): Promise<void> {
  const result = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    ssr: { noExternal: true },
    build: {
      ssr: path.join(root, 'main/models/tokenizer/worker.ts'),
      write: false,
      target: 'node20',
      minify: false,
      rolldownOptions: { output: { format: 'es', entryFileNames: 'text-worker.js', codeSplitting: false } },
    },
  })
  const output = [result].flat().flatMap((each) => ('output' in each ? each.output : []))
  const chunk = output.find((each) => each.type === 'chunk')
  if (chunk?.type !== 'chunk' || output.length !== 1)
    throw new Error('The text worker did not become one file.')
  const file = path.join(root, 'dist/test/text-worker.js')
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(`${file}.${process.pid}`, chunk.code)
  await rename(`${file}.${process.pid}`, file)
}
