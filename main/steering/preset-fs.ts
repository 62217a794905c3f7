/** The file system as the preset store uses it: a parameter, so that its failures can be tested. */
import { asPatchbayError } from '../../preload/errors'
import type { WritableFs } from '../files/durable-file'
import { malformed } from '../models/formats/malformed'

export interface PresetFs extends WritableFs {
  readFile(file: string): Promise<Uint8Array>
  lstat(file: string): Promise<{ size: number; isFile(): boolean }>
}

/**
 * The whole content of an ordinary file; null where there is none.
 * @throws PatchbayError `file.malformed` for a link, a folder or a device, and for a file larger than `maxBytes`
 */
export async function readBounded(fs: PresetFs, file: string, maxBytes: number): Promise<Uint8Array | null> {
  try {
    const stat = await fs.lstat(file)
    if (!stat.isFile()) throw malformed(file, 'is not an ordinary file')
    if (stat.size > maxBytes) throw malformed(file, `is larger than ${maxBytes} bytes`)
    return await fs.readFile(file)
  } catch (error) {
    if (isMissing(error)) return null
    throw asPatchbayError(error)
  }
}

export async function exists(fs: PresetFs, file: string): Promise<boolean> {
  try {
    await fs.lstat(file)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw asPatchbayError(error)
  }
}

/** Names in a folder, sorted; none where there is no folder. */
export async function namesIn(fs: PresetFs, folder: string): Promise<string[]> {
  try {
    return (await fs.readdir(folder)).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw asPatchbayError(error)
  }
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'
