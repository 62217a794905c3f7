/** A brief look whether a download is likely to work; the packages' own retries take most of a minute to give up. */

/** Where the `electron` package fetches its binary from, by its own environment variables. */
export function electronMirror(environment = process.env) {
  return (
    environment.ELECTRON_MIRROR ||
    environment.npm_config_electron_mirror ||
    'https://github.com/electron/electron/releases/download/'
  )
}

/**
 * @param {string} url
 * @param {{ limitMs?: number, environment?: NodeJS.ProcessEnv, get?: typeof fetch }} [options]
 * @returns {Promise<boolean>} true also where a proxy stands between, which this look can not go through
 */
export async function reachable(url, { limitMs = 4000, environment = process.env, get = fetch } = {}) {
  if (environment.HTTPS_PROXY || environment.https_proxy || environment.ELECTRON_GET_USE_PROXY) return true
  try {
    await get(url, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(limitMs) })
    return true
  } catch {
    // No name, no route, refused, too slow: whichever it is, the download would fail too.
    return false
  }
}
