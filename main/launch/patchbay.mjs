#!/usr/bin/env node
/** `patchbay …`: makes sure the clone is ready and runs the command line, in this process where that is possible. */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { graphicsEnvironment, makeRuntimeFolder } from './environment.mjs'
import { root } from './folders.mjs'
import { readyToCompute } from './ready.mjs'
import { presentRuntime } from './runtime.mjs'
import { runMain } from './say.mjs'

await runMain(async () => {
  await readyToCompute(root)
  // WebGPU can borrow Electron's software driver, if a runtime is here; computing on the CPU needs none.
  const runtime = presentRuntime(root)
  const added = runtime === null ? {} : graphicsEnvironment(runtime.folder)
  makeRuntimeFolder(added)
  if (added.LD_LIBRARY_PATH !== undefined) {
    // The loader reads its search path only when a process starts.
    const again = [fileURLToPath(import.meta.url), ...process.argv.slice(2)]
    const { status } = spawnSync(process.execPath, again, {
      stdio: 'inherit',
      env: { ...process.env, ...added },
    })
    return status ?? 1
  }
  Object.assign(process.env, added)
  await import(pathToFileURL(path.join(root, 'dist', 'cli', 'index.js')).href)
  return typeof process.exitCode === 'number' ? process.exitCode : 0
})
