/**
 * Content against its name: sha256 for large files, and for those that git keeps itself the hash of a git blob, which is
 * the sha1 of `blob <length>\0` and the content.
 */
import { createHash, type Hash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { readFailure } from '../formats/malformed'
import { cancelled, untrusted } from './failures'

const chunkBytes = 4 << 20

function hasher(hash: string, size: number): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
}

/** @throws PatchbayError `file.malformed` where the bytes are not those that the hash names */
export function checkHash(bytes: Uint8Array, hash: string, what: string): void {
  if (hasher(hash, bytes.length).update(bytes).digest('hex') !== hash) throw wrongHash(what)
}

export const wrongHash = (what: string): Error =>
  untrusted(`What came as ${what} is not that file: its hash is another one.`, {
    next: 'It was thrown away. Try again; if it stays so, the server or something on the way changes files.',
  })

/**
 * Whether a file on the disk is what `hash` names.
 * @returns also the inode that was read, so that the caller knows it renames the same file
 * @throws PatchbayError `run.cancelled`, `file.unreadable`
 */
export async function fileMatches(
  file: string,
  hash: string,
  signal?: AbortSignal,
): Promise<{ matches: boolean; inode: bigint }> {
  try {
    const handle = await open(file, 'r')
    try {
      const { size, ino } = await handle.stat({ bigint: true })
      const digest = hasher(hash, Number(size))
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, Math.max(1, Number(size))))
      for (let at = 0; ;) {
        if (signal?.aborted === true) throw cancelled('Checking the download')
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, at)
        if (bytesRead === 0) break
        digest.update(chunk.subarray(0, bytesRead))
        at += bytesRead
      }
      return { matches: digest.digest('hex') === hash, inode: ino }
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw readFailure(file, cause)
  }
}
