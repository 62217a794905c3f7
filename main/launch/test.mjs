/**
 * `npm test [-- --only STAGE,…] [--yes]`: gets ready, builds, checks, runs every test, and ends with a line
 * `N passed, N failed, N skipped`. All stages run, so that one failure does not hide another.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { virtualDisplay } from './display.mjs'
import { graphicsEnvironment, makeRuntimeFolder } from './environment.mjs'
import { root } from './folders.mjs'
import { readyForWindow, readyToCompute } from './ready.mjs'
import { presentRuntime } from './runtime.mjs'
import { LaunchProblem, runMain, say } from './say.mjs'
import { checkCounts, chosenStages, countsOf, stages, sum } from './test-stages.mjs'

/** @typedef {import('./test-stages.mjs').Stage} Stage */

/** @param {Stage} stage @param {NodeJS.ProcessEnv} environment @returns {Promise<number | null>} exit code */
function run(stage, environment) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, stage.command, { cwd: root, stdio: 'inherit', env: environment })
    child.once('error', reject)
    child.once('exit', resolve)
  })
}

/** @param {Stage} stage @param {NodeJS.ProcessEnv} environment */
async function count(stage, environment) {
  if (stage.report === undefined) return checkCounts(await run(stage, environment))
  const report = path.join(root, stage.report)
  rmSync(report, { force: true })
  const status = await run(stage, environment)
  try {
    return countsOf(JSON.parse(readFileSync(report, 'utf8')), status)
  } catch {
    // Broken off before it could report; counted as a failure.
    return countsOf(null, status)
  }
}

await runMain(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, yes: { type: 'boolean' } } })
  const chosen = chosenStages(values.only)
  if (chosen === null)
    throw new LaunchProblem(
      `There is no stage "${values.only}".`,
      `Stages: ${stages.map(({ name }) => name).join(', ')}; groups: check, unit, e2e.`,
    )
  const windowed = chosen.some(({ display }) => display === true)
  if (windowed) await readyForWindow(root, { yes: values.yes, virtual: process.platform === 'linux' })
  else await readyToCompute(root)
  mkdirSync(path.join(root, 'test-results'), { recursive: true })

  // A display of their own, so that the tests neither disturb the person nor are disturbed.
  const screen = windowed && process.platform === 'linux' ? await virtualDisplay() : null
  // WebGPU is tested on the software driver in the runtime's folder, where there is no GPU.
  const runtime = presentRuntime(root)
  const graphics = runtime === null ? {} : graphicsEnvironment(runtime.folder)
  makeRuntimeFolder(graphics)
  const shown = screen === null ? {} : { DISPLAY: screen.display, WAYLAND_DISPLAY: '' }
  const environment = { ...process.env, ...graphics, ...shown }
  const results = []
  try {
    for (const stage of chosen) {
      say(`\n— ${stage.title} (${stage.name})`)
      const started = performance.now()
      const counts = await count(stage, environment)
      results.push(counts)
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      say(`— ${stage.name}: ${counts.failed === 0 ? 'passed' : 'FAILED'} in ${seconds} s`)
    }
  } finally {
    await screen?.stop()
  }
  const { passed, failed, skipped } = sum(results)
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`)
  return failed === 0 ? 0 : 1
})
