/**
 * `npm run package`: a folder with the app that starts on this system, made by electron-builder with the runtime in use.
 * Options after `--` are electron-builder's (a target in place of the folder, for example).
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { root } from './folders.mjs'
import { readyForWindow } from './ready.mjs'
import { LaunchProblem, runMain, say } from './say.mjs'

await runMain(async () => {
  const runtime = await readyForWindow(root)
  const version = runtime.kind === 'given' ? electronVersionIn(runtime.folder) : runtime.version
  const chosen = process.argv.slice(2)
  const work = mkdtempSync(path.join(os.tmpdir(), 'patchbay-package-'))
  try {
    const electron = path.join(work, 'electron')
    cpSync(runtime.folder, electron, { recursive: true, verbatimSymlinks: true })
    // What starts an app named on the command line has no place in the package.
    rmSync(path.join(electron, 'resources', 'app'), { recursive: true, force: true })
    rmSync(path.join(electron, 'patchbay-runtime.json'), { force: true })

    const args = [
      path.join(root, 'node_modules', 'electron-builder', 'cli.js'),
      ...(chosen.length > 0 ? chosen : ['--dir']),
      `--config.electronVersion=${version}`,
      `--config.electronDist=${electron}`,
      '--publish=never',
    ]
    say(`Packaging with Electron ${version}.`)
    const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] })
    if (status !== 0)
      throw new LaunchProblem('The app could not be packaged.', 'See what electron-builder wrote above.')
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  if (chosen.length === 0) say(`The app is in ${path.join(root, 'release')}.`)
  return 0
})

/** @param {string} folder */
function electronVersionIn(folder) {
  const file = path.join(folder, 'version')
  if (!existsSync(file))
    throw new LaunchProblem(`${folder} does not say which Electron it is.`, `Write its version into ${file}.`)
  return readFileSync(file, 'utf8').trim().replace(/^v/, '')
}
