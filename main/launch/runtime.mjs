/** Which Electron runs the app: the one given, the official one, or the fallback. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { electronMirror, reachable } from './network.mjs'
import { cachedFallback, fallbackFits, installFallback } from './runtime-fallback.mjs'
import { installOfficial, officialInCache, officialRuntime, wantedVersion } from './runtime-official.mjs'
import { LaunchProblem, say } from './say.mjs'

/** @typedef {import('./runtime-official.mjs').Runtime} Runtime */

/** What the choice below does to the outside, to be replaced in tests. */
const outside = {
  reachable,
  officialRuntime,
  officialInCache,
  installOfficial,
  cachedFallback,
  fallbackFits,
  installFallback,
  wantedVersion,
}

/**
 * A runtime that is there already, without touching the network; null where one has to be fetched.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Runtime | null}
 */
export function presentRuntime(root, environment = process.env, how = outside) {
  const given = environment.ELECTRON_OVERRIDE_DIST_PATH
  if (given !== undefined && given !== '') return givenRuntime(given)
  return how.officialRuntime(root) ?? (how.fallbackFits() ? how.cachedFallback() : null)
}

/**
 * @param {string} root
 * @param {{ environment?: NodeJS.ProcessEnv, insistOnOfficial?: boolean, how?: typeof outside }} [options]
 * @returns {Promise<Runtime>}
 */
export async function ensureRuntime(
  root,
  { environment = process.env, insistOnOfficial = false, how = outside } = {},
) {
  const present = presentRuntime(root, environment, how)
  if (present !== null && !(insistOnOfficial && present.kind === 'fallback')) return present

  const version = how.wantedVersion(root)
  const mirror = electronMirror(environment)
  const site = new URL(mirror).host
  const cached = how.officialInCache(version, environment)
  if (cached || (await how.reachable(mirror, { environment }))) {
    say(cached ? `Unpacking Electron ${version}.` : `Fetching Electron ${version} from ${site}.`)
    const official = how.installOfficial(root)
    if (official !== null) return official
    say(`Electron ${version} could not be installed from ${site}.`)
  } else say(`${site} can not be reached, so Electron ${version} can not be fetched from there.`)

  if (!how.fallbackFits() || insistOnOfficial)
    throw new LaunchProblem(
      `There is no Electron runtime for ${process.platform} ${process.arch} yet, and none could be fetched.`,
      `Connect to ${site} (or set ELECTRON_MIRROR) and type the same again, or set ELECTRON_OVERRIDE_DIST_PATH to an unpacked Electron ${version}.`,
    )
  return how.installFallback(root)
}

/** @param {string} folder @returns {Runtime} */
function givenRuntime(folder) {
  /** @type {Partial<Record<NodeJS.Platform, string>>} */
  const names = { win32: 'electron.exe', darwin: 'Electron.app/Contents/MacOS/Electron' }
  const name = names[process.platform] ?? 'electron'
  const executable = path.join(folder, name)
  if (!existsSync(executable))
    throw new LaunchProblem(
      `ELECTRON_OVERRIDE_DIST_PATH names ${folder}, which has no ${name}.`,
      'Correct it, or unset it to let the launcher find a runtime.',
    )
  return { kind: 'given', folder, executable, version: 'as given' }
}
