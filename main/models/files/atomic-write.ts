/**
 * A file is written whole or not at all: to a temporary file in the same folder, synced, renamed over the target, and the
 * folder synced. A reader, or a crash at any step, sees the old content or the new, never a part.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'

/**
 * Writes `content` to `target`, making its folder where needed.
 * @throws PatchbayError-convertible Node errors (ENOSPC, EACCES, …); the temporary file is removed and the old content kept
 */
export async function writeFileAtomically(target: string, content: string | Uint8Array): Promise<void> {
  const folder = path.dirname(target)
  await mkdir(folder, { recursive: true })
  const temporary = path.join(folder, `.${path.basename(target)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const handle = await open(temporary, 'wx')
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(folder)
}

/** Makes a rename in `folder` durable. Windows has no such call; there the rename itself is what one can have. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
