/** Where the launcher finds and keeps things. */
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The clone. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '')

/**
 * The user's cache folder for Patchbay, shared by all clones.
 * @param {NodeJS.ProcessEnv} environment
 * @param {NodeJS.Platform} platform
 */
export function cacheFolder(environment = process.env, platform = process.platform) {
  const home = os.homedir()
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches', 'patchbay')
  if (platform === 'win32')
    return path.join(environment.LOCALAPPDATA || path.join(home, 'AppData', 'Local'), 'patchbay', 'Cache')
  return path.join(environment.XDG_CACHE_HOME || path.join(home, '.cache'), 'patchbay')
}

/** The folder in which the person typed the command (npm changes to the clone's). */
export const typedIn = () => process.env.INIT_CWD || process.cwd()
