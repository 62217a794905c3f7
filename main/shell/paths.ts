/** Where things lie. */
import { homedir } from 'node:os'
import path from 'node:path'

export interface AppPaths {
  /** Chromium's profile and the shell's settings. */
  userData: string
  /** The engine's: presets, library, results. */
  dataDir: string
  /** The engine's: what can be computed again. */
  cacheDir: string
  /** Model, presets and pictures that come with the app, as real files. */
  assetsDir: string
}

/**
 * The same folders as the command line's (main/cli/directories.ts), so that presets and library are shared.
 * @param appPath Electron's app path: the clone, or the archive of a packaged app
 * @param appData the folder of the user's applications
 * @param chosen `--user-data-dir`; everything is then kept inside
 */
export function appPaths(
  appPath: string,
  appData: string,
  chosen: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): AppPaths {
  const userData = chosen ?? path.join(appData, 'patchbay')
  const own = chosen !== undefined
  return {
    userData,
    dataDir: own ? userData : (environment.PATCHBAY_DATA ?? userData),
    cacheDir: own
      ? path.join(userData, 'engine-cache')
      : (environment.PATCHBAY_CACHE ?? userCache(environment)),
    // ONNX Runtime maps weights by itself and can not look into an archive.
    assetsDir: path.join(appPath.replace(/app\.asar$/, 'app.asar.unpacked'), 'assets'),
  }
}

/** The user's folder for what may be deleted, by each system's custom. */
export function userCache(
  environment: NodeJS.ProcessEnv,
  platform: NodeJS.Platform = process.platform,
): string {
  const home = homedir()
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches', 'patchbay')
  if (platform === 'win32')
    return path.join(environment.LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'patchbay', 'Cache')
  return path.join(environment.XDG_CACHE_HOME ?? path.join(home, '.cache'), 'patchbay')
}
