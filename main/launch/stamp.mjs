/** Tells whether `dist/` was built from the sources that lie here now. Shared by the build (writes) and the launcher (reads). */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const folders = ['main', 'preload', 'renderer', '.config']
const files = ['package.json', 'package-lock.json', 'tsconfig.json']

/** @param {string} folder @returns {string[]} every file below, sorted */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}

/**
 * Hash over names and contents of everything that goes into the build.
 * @param {string} root the clone
 * @returns {string} sha256, hexadecimal
 */
export function sourceHash(root) {
  const hash = createHash('sha256')
  const all = [
    ...folders.flatMap((folder) => filesBelow(path.join(root, folder))),
    ...files.map((f) => path.join(root, f)),
  ]
  for (const file of all) {
    const bytes = readFileSync(file)
    hash.update(`${path.relative(root, file).split(path.sep).join('/')}\0${bytes.length}\0`)
    hash.update(bytes)
  }
  return hash.digest('hex')
}

const stampFile = (/** @type {string} */ root) => path.join(root, 'dist', 'stamp.json')

/** @param {string} root @returns {string | null} hash of the sources that `dist/` was built from */
export function builtFrom(root) {
  try {
    return JSON.parse(readFileSync(stampFile(root), 'utf8')).sources
  } catch {
    // Never built, or broken off: either way it has to be built.
    return null
  }
}

/** From here on `dist/` is in pieces. @param {string} root */
export function removeStamp(root) {
  rmSync(stampFile(root), { force: true })
}

/** @param {string} root @param {string} sources what `sourceHash` said before the build began */
export function writeStamp(root, sources) {
  writeFileSync(stampFile(root), JSON.stringify({ sources }) + '\n')
}
