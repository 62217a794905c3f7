/** The file system as the store uses it: a parameter, so that its failures can be tested at every step. */
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError } from '../../../preload/errors'
import type { WritableFs } from '../../files/durable-file'
import { makeFolder, syncFolder } from '../../files/durable-folder'

export interface StoreFs extends WritableFs {
  readFile(file: string): Promise<Uint8Array>
  stat(file: string): Promise<{ mtimeMs: number; size: number; ino: number }>
  /** Times in seconds. */
  utimes(file: string, accessed: number, modified: number): Promise<void>
}

export const realFs: StoreFs = nodeFs

/**
 * Makes a folder that stays: each one that was made is noted on the disk in the one above it, and so is one that was there,
 * for who made it may have died before it came to that.
 * @throws PatchbayError `disk.full`, `disk.failed`, `file.unreadable`
 */
export async function makeLastingFolder(folder: string, fs: StoreFs): Promise<void> {
  try {
    if (!(await makeFolder(folder, fs))) await syncFolder(path.dirname(path.resolve(folder)), fs)
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
