/** The system libraries that Electron is linked against, and the Debian packages that hold them. Linux only. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { LaunchProblem, say } from './say.mjs'

/** Library → Debian 12 package; those that a fresh installation lacks. */
const packageOf = {
  'libgtk-3.so.0': 'libgtk-3-0',
  'libgdk-3.so.0': 'libgtk-3-0',
  'libatk-1.0.so.0': 'libatk1.0-0',
  'libatk-bridge-2.0.so.0': 'libatk-bridge2.0-0',
  'libatspi.so.0': 'libatspi2.0-0',
  'libnss3.so': 'libnss3',
  'libnssutil3.so': 'libnss3',
  'libsmime3.so': 'libnss3',
  'libnspr4.so': 'libnspr4',
  'libasound.so.2': 'libasound2',
  'libgbm.so.1': 'libgbm1',
  'libdrm.so.2': 'libdrm2',
  'libcups.so.2': 'libcups2',
  'libdbus-1.so.3': 'libdbus-1-3',
  'libexpat.so.1': 'libexpat1',
  'libglib-2.0.so.0': 'libglib2.0-0',
  'libgobject-2.0.so.0': 'libglib2.0-0',
  'libgio-2.0.so.0': 'libglib2.0-0',
  'libpango-1.0.so.0': 'libpango-1.0-0',
  'libcairo.so.2': 'libcairo2',
  'libX11.so.6': 'libx11-6',
  'libXcomposite.so.1': 'libxcomposite1',
  'libXdamage.so.1': 'libxdamage1',
  'libXext.so.6': 'libxext6',
  'libXfixes.so.3': 'libxfixes3',
  'libXrandr.so.2': 'libxrandr2',
  'libXss.so.1': 'libxss1',
  'libxcb.so.1': 'libxcb1',
  'libxkbcommon.so.0': 'libxkbcommon0',
  'libudev.so.1': 'libudev1',
}

/** Renamed by the change to 64-bit time, in Debian 13 and Ubuntu 24.04. */
const renamed = new Set([
  'libgtk-3-0',
  'libatk1.0-0',
  'libatk-bridge2.0-0',
  'libatspi2.0-0',
  'libasound2',
  'libcups2',
  'libglib2.0-0',
])

/** Loaded at run time, so that ldd does not list it. */
const loadedLater = ['libgtk-3.so.0']

/** @param {string} output of ldd @returns {string[]} libraries that were not found */
export function missingIn(output) {
  const names = [...output.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? '')
  return [...new Set(names)].sort()
}

/**
 * @param {string} executable
 * @returns {string[]} libraries it lacks here
 */
export function missingLibraries(executable, run = spawnSync) {
  const folder = path.dirname(executable)
  const { stdout } = run('ldd', [executable], {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: folder },
  })
  if (typeof stdout !== 'string') return []
  const missing = missingIn(stdout)
  if (missing.length > 0 || loadedLater.every((name) => stdout.includes(name))) return missing
  const { stdout: known } = run('/sbin/ldconfig', ['-p'], { encoding: 'utf8' })
  return typeof known === 'string' && known !== '' ? loadedLater.filter((name) => !known.includes(name)) : []
}

/** @param {string} [text] of /etc/os-release @returns {{ debian: boolean, time64: boolean }} */
export function systemOf(
  text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '',
) {
  const field = (/** @type {string} */ name) => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(text)?.[1] ?? ''
  const id = field('ID')
  const debian = id === 'debian' || id === 'ubuntu' || /\b(debian|ubuntu)\b/.test(field('ID_LIKE'))
  const version = Number.parseFloat(field('VERSION_ID'))
  return { debian, time64: (id === 'debian' && version >= 13) || (id === 'ubuntu' && version >= 24.04) }
}

/**
 * @param {string[]} libraries
 * @param {{ time64: boolean }} system
 * @returns {{ packages: string[], unknown: string[] }} sorted; unknown are libraries that no package is known for
 */
export function packagesFor(libraries, { time64 }) {
  const packages = new Set()
  const unknown = []
  for (const library of libraries) {
    const name = /** @type {Record<string, string>} */ (packageOf)[library]
    if (name === undefined) unknown.push(library)
    else packages.add(time64 && renamed.has(name) ? `${name}t64` : name)
  }
  return { packages: [...packages].sort(), unknown }
}

/** What the step below asks of the machine and does to it, to be replaced in tests. */
const machine = {
  linux: () => process.platform === 'linux',
  root: () => process.getuid?.() === 0,
  systemOf,
  missingLibraries,
  onPath,
  installDebian,
}

/**
 * Says what is missing and what to type; as root on Debian, and allowed to, installs it.
 * @param {string} executable Electron's
 * @param {{ needXvfb: boolean, mayInstall: boolean }} options
 */
export function ensureLibraries(executable, { needXvfb, mayInstall }, how = machine) {
  if (!how.linux()) return
  const system = how.systemOf()
  const missing = how.missingLibraries(executable)
  const xvfb = needXvfb && !how.onPath('Xvfb')
  if (missing.length === 0 && !xvfb) return

  if (missing.length > 0) say(`Electron needs system libraries that are not here: ${missing.join(', ')}.`)
  if (xvfb) say('There is no display, and no Xvfb to make a virtual one.')
  const { packages, unknown } = packagesFor(missing, system)
  if (xvfb) packages.push('xvfb')
  if (unknown.length > 0 || !system.debian)
    throw new LaunchProblem(
      `Missing: ${[...missing, ...(xvfb ? ['Xvfb'] : [])].join(', ')}.`,
      `Install them with this system's package manager${packages.length > 0 ? ` (Debian's packages: ${packages.join(' ')})` : ''}.`,
    )
  const command = `apt-get update && apt-get install -y ${packages.join(' ')}`
  if (!how.root())
    throw new LaunchProblem(
      `Debian packages are missing: ${packages.join(' ')}.`,
      `Type:  sudo sh -c '${command}'`,
    )
  if (!mayInstall)
    throw new LaunchProblem(
      `Debian packages are missing: ${packages.join(' ')}.`,
      `Type:  ${command}\nor let it be done:  npm start -- --yes`,
    )
  how.installDebian(packages)
  const still = how.missingLibraries(executable)
  if (still.length > 0)
    throw new LaunchProblem(`Still missing: ${still.join(', ')}.`, 'See what apt wrote above.')
}

/** @param {string[]} packages */
function installDebian(packages) {
  say(`Installing the Debian packages ${packages.join(' ')}.`)
  const apt = (/** @type {string[]} */ ...args) =>
    spawnSync('apt-get', args, {
      stdio: ['ignore', 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status
  const done =
    apt('update', '-q') === 0 && apt('install', '-y', '-q', '--no-install-recommends', ...packages) === 0
  if (!done)
    throw new LaunchProblem(
      'apt could not install them; see above.',
      `Type:  apt-get update && apt-get install -y ${packages.join(' ')}`,
    )
}

/** @param {string} command */
export function onPath(command, environment = process.env) {
  return (environment.PATH ?? '')
    .split(path.delimiter)
    .some((folder) => folder !== '' && existsSync(path.join(folder, command)))
}
