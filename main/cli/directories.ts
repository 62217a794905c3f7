/** Where the command line keeps what the app keeps: the same folders, so presets, library and decoded weights are shared. */
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EngineOptions } from '../engine/engine'

/**
 * The app's folders on this system. `PATCHBAY_DATA` and `PATCHBAY_CACHE` override them.
 * The names follow Electron's `userData` and the XDG base directory specification.
 */
export function directories(environment: NodeJS.ProcessEnv = process.env): EngineOptions {
  const home = os.homedir()
  const data: Partial<Record<NodeJS.Platform, string>> = {
    darwin: path.join(home, 'Library', 'Application Support', 'patchbay'),
    win32: path.join(environment.APPDATA ?? path.join(home, 'AppData', 'Roaming'), 'patchbay'),
  }
  const cache: Partial<Record<NodeJS.Platform, string>> = {
    darwin: path.join(home, 'Library', 'Caches', 'patchbay'),
    win32: path.join(environment.LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'patchbay', 'Cache'),
  }
  return {
    dataDir:
      environment.PATCHBAY_DATA ??
      data[process.platform] ??
      path.join(environment.XDG_CONFIG_HOME ?? path.join(home, '.config'), 'patchbay'),
    cacheDir:
      environment.PATCHBAY_CACHE ??
      cache[process.platform] ??
      path.join(environment.XDG_CACHE_HOME ?? path.join(home, '.cache'), 'patchbay'),
    assetsDir: assetsFolder(),
  }
}

/** `assets/` beside `dist/` in a clone; this file is bundled to `dist/cli/`. */
const assetsFolder = (): string => fileURLToPath(new URL('../../assets', import.meta.url))
