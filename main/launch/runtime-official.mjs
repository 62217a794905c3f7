/** The Electron runtime of the `electron` package: downloaded by the package's own installer, which keeps it in the user's cache. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** @typedef {{ kind: 'given' | 'official' | 'fallback', folder: string, executable: string, version: string }} Runtime */

const packageFolder = (/** @type {string} */ root) => path.join(root, 'node_modules', 'electron')

/** @param {string} root @returns {string} the version that package.json asks for */
export function wantedVersion(root) {
  return JSON.parse(readFileSync(path.join(packageFolder(root), 'package.json'), 'utf8')).version
}

/** The official runtime, if it is unpacked and of the version wanted. @param {string} root @returns {Runtime | null} */
export function officialRuntime(root) {
  const folder = path.join(packageFolder(root), 'dist')
  const pathFile = path.join(packageFolder(root), 'path.txt')
  if (!existsSync(pathFile) || !existsSync(path.join(folder, 'version'))) return null
  const version = readFileSync(path.join(folder, 'version'), 'utf8').trim().replace(/^v/, '')
  const executable = path.join(folder, readFileSync(pathFile, 'utf8'))
  return version === wantedVersion(root) && existsSync(executable)
    ? { kind: 'official', folder, executable, version }
    : null
}

/** Downloads (or takes from its cache) and unpacks; null where that failed. @param {string} root */
export function installOfficial(root) {
  const { status } = spawnSync(process.execPath, [path.join(packageFolder(root), 'install.js')], {
    stdio: ['ignore', 2, 2],
    timeout: 15 * 60_000,
  })
  return status === 0 ? officialRuntime(root) : null
}

/**
 * Whether the archive that the installer would download is in its cache already, so that it needs no network.
 * The layout is that of @electron/get: CACHE/<hash of the address>/electron-vVERSION-PLATFORM-ARCH.zip.
 * @param {string} version
 * @param {NodeJS.ProcessEnv} environment
 */
export function officialInCache(version, environment = process.env) {
  /** @type {Partial<Record<NodeJS.Platform, string>>} */
  const usual = {
    darwin: path.join(os.homedir(), 'Library', 'Caches', 'electron'),
    win32: path.join(
      environment.LOCALAPPDATA || path.join(os.homedir(), 'AppData', 'Local'),
      'electron',
      'Cache',
    ),
  }
  const xdg = path.join(environment.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'electron')
  const cache = environment.electron_config_cache || usual[process.platform] || xdg
  const archive = `electron-v${version}-${process.platform}-${process.arch}.zip`
  return (
    existsSync(cache) && readdirSync(cache).some((folder) => existsSync(path.join(cache, folder, archive)))
  )
}
