/** The file system as the store uses it: a parameter, so that its failures can be tested at every step. */
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError } from '../../../preload/errors'
import type { WritableFs } from '../../files/durable-file'

export interface StoreFs extends WritableFs {
  readFile(file: string): Promise<Uint8Array>
  stat(file: string): Promise<{ mtimeMs: number; size: number; ino: number }>
  /** Times in seconds. */
  utimes(file: string, accessed: number, modified: number): Promise<void>
}

export const realFs: StoreFs = nodeFs

/**
 * Makes a folder that stays: each one that was made is noted on the disk in the one above it.
 * @throws PatchbayError `disk.full`, `disk.failed`, `file.unreadable`
 */
export async function makeFolder(folder: string, fs: StoreFs): Promise<void> {
  try {
    const first = await fs.mkdir(path.resolve(folder), { recursive: true })
    // Windows can't sync a folder.
    if (typeof first !== 'string' || process.platform === 'win32') return
    for (let made = path.resolve(folder); made.length >= first.length; made = path.dirname(made)) {
      const above = await fs.open(path.dirname(made), 'r')
      try {
        await above.sync()
      } finally {
        await above.close()
      }
    }
  } catch (error) {
    throw asPatchbayError(error)
  }
}

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** Names in a folder; none where there is no folder. */
export async function namesIn(fs: StoreFs, folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw asPatchbayError(error)
  }
}
