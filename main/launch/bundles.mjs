/** `dist/`: built from the sources that lie here, or built again. */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { withLock } from './lock.mjs'
import { LaunchProblem, say } from './say.mjs'
import { builtFrom, sourceHash } from './stamp.mjs'

/** @param {string} root */
export async function ensureBundles(root) {
  if (builtFrom(root) === sourceHash(root)) return
  await withLock(path.join(root, 'node_modules', '.patchbay-build-lock'), async () => buildWhereStale(root), {
    onWait: (pid) => say(`Waiting for process ${pid}, which is building.`),
  })
}

/** @param {string} root */
function buildWhereStale(root) {
  if (builtFrom(root) === sourceHash(root)) return
  say('Building the app.')
  const { status } = spawnSync(process.execPath, [path.join(root, '.config', 'build.mjs')], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0)
    throw new LaunchProblem('The app could not be built.', 'See above; "npm run build" repeats it.')
}
