/**
 * Writes the table of families into main/models/architectures/README.md anew, from the registry:
 * `node .config/families.mjs`. A test fails while it is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = path.join(root, 'main/models/architectures/README.md')
const { module } = await runnerImport(path.join(root, 'main/models/architectures/table.ts'), {
  root,
  logLevel: 'warn',
})
writeFileSync(readme, module.withTable(readFileSync(readme, 'utf8')))
