/** Folders that are still there after a power cut: a name is on the disk when the folder that it stands in was synced. */
import path from 'node:path'

/** What is used of the file system. */
export interface FolderFs {
  open(file: string, flags: string): Promise<{ sync(): Promise<void>; close(): Promise<void> }>
  mkdir(folder: string, options: { recursive: true }): Promise<unknown>
}

/** Waits until the names in a folder are on the disk. @throws what the disk says */
export async function syncFolder(folder: string, fs: Pick<FolderFs, 'open'>): Promise<void> {
  // Windows can't sync a folder; what was renamed there is what one can have.
  if (process.platform === 'win32') return
  const handle = await fs.open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Makes a folder; each one that was made is noted on the disk in the one above it.
 * @returns whether any had to be made
 * @throws what the disk says
 */
export async function makeFolder(folder: string, fs: FolderFs): Promise<boolean> {
  const target = path.resolve(folder)
  const first = await fs.mkdir(target, { recursive: true })
  if (typeof first !== 'string') return false
  for (let made = target; made.length >= first.length; made = path.dirname(made))
    await syncFolder(path.dirname(made), fs)
  return true
}
