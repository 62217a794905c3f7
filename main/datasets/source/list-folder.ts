/**
 * The files below a folder, sorted by name. Hidden ones are left out. Links to folders are not followed; links to files
 * only where these lie in the folder too, or, in the cache of a Hugging Face hub, among the repository's blobs.
 */
import { readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { quoted, readFailure } from '../../models/formats/malformed'
import { deepestFolder, mostFiles } from '../limits'

export interface FoundFile {
  readonly path: string
  readonly bytes: number
  /** Why it may not be read; null where it may. */
  readonly problem: PatchbayError | null
}

/** @throws PatchbayError `file.missing`, `file.unreadable`, `input.invalid` where there are too many files */
export async function listFolder(root: string): Promise<FoundFile[]> {
  const allowed = await rootsOf(root)
  const found: FoundFile[] = []
  const walk = async (folder: string, depth: number): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
      throw readFailure(folder, cause)
    })
    entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue
      const file = path.join(folder, entry.name)
      if (entry.isDirectory()) {
        if (depth >= deepestFolder) throw tooMany(root, `folders more than ${deepestFolder} deep`)
        await walk(file, depth + 1)
      } else if (entry.isFile() || entry.isSymbolicLink()) {
        const each = await fileOf(file, allowed)
        if (each === null) continue
        if (found.length >= mostFiles) throw tooMany(root, `more than ${mostFiles} files`)
        found.push(each)
      }
    }
  }
  await walk(root, 0)
  return found
}

/** Folders that a file may really lie in. */
async function rootsOf(root: string): Promise<string[]> {
  try {
    const real = await realpath(root)
    const snapshots = path.dirname(real)
    return path.basename(snapshots) === 'snapshots' ? [real, path.join(snapshots, '..', 'blobs')] : [real]
  } catch (cause) {
    throw readFailure(root, cause)
  }
}

/** Null for a link to a folder. */
async function fileOf(file: string, allowed: readonly string[]): Promise<FoundFile | null> {
  try {
    const real = await realpath(file)
    const { size, isFile, isFolder } = await stat(real).then((all) => ({
      size: all.size,
      isFile: all.isFile(),
      isFolder: all.isDirectory(),
    }))
    if (isFolder) return null
    const inside = allowed.some((folder) => real.startsWith(folder + path.sep))
    return { path: file, bytes: isFile && inside ? size : 0, problem: inside ? null : outside(file) }
  } catch (cause) {
    return { path: file, bytes: 0, problem: readFailure(file, cause) }
  }
}

const outside = (file: string): PatchbayError =>
  new PatchbayError('file.outside', `${quoted(file)} is a link that leads out of its folder.`, {
    file,
    next: 'Copy the file into the folder, or choose it itself.',
  })

const tooMany = (root: string, what: string): PatchbayError =>
  new PatchbayError('input.invalid', `There are ${what} in ${quoted(root)}.`, {
    file: root,
    next: 'Choose a folder below it.',
  })
