/** Files that are there whole or not at all. */
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError } from '../../preload/errors'

/**
 * Writes beside the target, flushes to disk, then renames over it. A symbolic link at `file` is replaced, not followed.
 * @throws PatchbayError `disk.full`, `disk.failed`, `file.unreadable`, `file.missing` (no such folder)
 */
export async function writeWhole(file: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`,
  )
  try {
    const handle = await open(temporary, 'wx', 0o666)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw asPatchbayError(error)
  }
}
