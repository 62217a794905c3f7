/** A new folder that is there whole or not at all: filled under another name beside it, synced, renamed. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import { quoted } from '../../models/formats/malformed'

export interface FolderFile {
  /** Path in the folder, with `/`. */
  name: string
  bytes: number
}

/**
 * @param fill is given a folder to write into
 * @returns what is in it, sorted by name
 * @throws PatchbayError `input.invalid` where there is something already; what `fill` throws; `disk.full`, `disk.failed`
 */
export async function newFolder(
  target: string,
  fill: (folder: string) => Promise<void>,
): Promise<FolderFile[]> {
  const full = path.resolve(target)
  const aside = path.join(
    path.dirname(full),
    `.${path.basename(full)}.${randomBytes(6).toString('hex')}.partial`,
  )
  try {
    await refuseExisting(full)
    await mkdir(path.dirname(full), { recursive: true })
    await mkdir(aside)
    await fill(aside)
    const files = await filesIn(aside)
    for (const { name } of files) await sync(path.join(aside, name))
    await refuseExisting(full)
    await rename(aside, full)
    if (process.platform !== 'win32') await sync(path.dirname(full))
    return files
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined) // the first failure is the one to report
    throw asPatchbayError(error)
  }
}

async function refuseExisting(folder: string): Promise<void> {
  const found = await stat(folder).catch((error: unknown) => {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (missing) return null
    throw error
  })
  if (found === null) return
  throw new PatchbayError('input.invalid', `There is already something at ${quoted(folder)}.`, {
    field: 'folder',
    next: 'Name a folder that does not exist yet; it is made.',
  })
}

async function filesIn(folder: string): Promise<FolderFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files: FolderFile[] = []
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const file = path.join(entry.parentPath, entry.name)
    files.push({
      name: path.relative(folder, file).split(path.sep).join('/'),
      bytes: (await stat(file)).size,
    })
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
