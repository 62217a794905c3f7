/** The npm packages: there, and those of the lockfile. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder } from './folders.mjs'
import { withLock } from './lock.mjs'
import { LaunchProblem, say } from './say.mjs'

const markerOf = (/** @type {string} */ root) => path.join(root, 'node_modules', '.patchbay-lockfile')

/** @param {string} root @returns {string} sha256 of package-lock.json */
export function lockfileHash(root) {
  return createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex')
}

/**
 * @param {string} root
 * @returns {'ready' | 'missing' | 'stale' | 'unmarked'} unmarked: installed by hand, for which lockfile is not known
 */
export function packagesState(root) {
  if (!existsSync(path.join(root, 'node_modules', '.package-lock.json'))) return 'missing'
  if (!existsSync(markerOf(root))) return 'unmarked'
  return readFileSync(markerOf(root), 'utf8').trim() === lockfileHash(root) ? 'ready' : 'stale'
}

/**
 * Whether what npm noted down in node_modules has the same packages and versions as the lockfile. Packages for other
 * systems are in the lockfile only.
 * @param {string} root
 */
export function installedMatches(root) {
  const read = (/** @type {string} */ file) =>
    JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages
  const wanted = read('package-lock.json')
  const installed = read('node_modules/.package-lock.json')
  return Object.entries(wanted).every(([name, entry]) => {
    if (name === '' || entry.optional === true || entry.peer === true) return true
    return installed[name]?.version === entry.version
  })
}

/** Runs `npm ci` where it is needed. @param {string} root */
export async function ensurePackages(root) {
  if (packagesState(root) === 'ready') return
  const lock = path.join(
    cacheFolder(),
    'locks',
    `packages-${createHash('sha256').update(root).digest('hex').slice(0, 16)}`,
  )
  await withLock(lock, async () => install(root), {
    onWait: (pid) => say(`Waiting for process ${pid}, which is installing the npm packages.`),
  })
}

/** @param {string} root */
function install(root) {
  const state = packagesState(root)
  if (state === 'ready') return
  if (state === 'missing' || !installedMatches(root)) {
    say(state === 'missing' ? 'Installing the npm packages (npm ci).' : 'The lockfile has changed: npm ci.')
    // `npm` is a script with its own extension on Windows, which only a shell finds.
    const { status, error } = spawnSync(
      'npm',
      ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
      {
        cwd: root,
        stdio: ['ignore', 2, 2],
        shell: process.platform === 'win32',
        env: { ...process.env, NODE_ENV: undefined, ELECTRON_SKIP_BINARY_DOWNLOAD: '1' },
      },
    )
    if (error !== undefined || status !== 0)
      throw new LaunchProblem(
        `The npm packages could not be installed (${error?.message ?? `npm ci ended with code ${status}`}).`,
        `See what npm wrote above; then try "npm ci" in ${root}.`,
      )
  }
  writeFileSync(markerOf(root), lockfileHash(root) + '\n')
}
