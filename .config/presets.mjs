/**
 * Makes the bundled presets anew with the embedded model: `node .config/presets.mjs`. The recipes and the code that follows
 * them are the app's own (main/steering/bundled); this only runs them and replaces the files in assets/presets.
 */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = path.join(root, 'assets/presets')
const load = async (file) => (await runnerImport(path.join(root, file), { root, logLevel: 'warn' })).module

const { Engine } = await load('main/engine/engine.ts')
const { makeBundledPreset } = await load('main/steering/bundled/make.ts')
const { recipes } = await load('main/steering/bundled/recipes.ts')

const scratch = mkdtempSync(path.join(os.tmpdir(), 'patchbay-presets-'))
const engine = new Engine({ dataDir: scratch, cacheDir: scratch, assetsDir: path.join(root, 'assets') })
try {
  const { handle } = await engine.call('model.open', { location: { kind: 'embedded' }, provider: 'cpu' })
  const model = await engine.models.get(handle)
  const made = []
  for (const recipe of recipes) made.push(await makeBundledPreset(model, recipe))
  rmSync(target, { recursive: true, force: true })
  for (const { preset, measured, files } of made) {
    for (const [name, bytes] of files) {
      mkdirSync(path.dirname(path.join(target, name)), { recursive: true })
      writeFileSync(path.join(target, name), bytes)
    }
    const { norm, residualNorm, accuracy, auc } = measured
    console.error(
      `${preset.id}: norm ${norm.toFixed(2)}, residual ${residualNorm.toFixed(2)}, accuracy ${accuracy}, AUC ${auc}`,
    )
  }
} finally {
  await engine.close()
  rmSync(scratch, { recursive: true, force: true })
}
