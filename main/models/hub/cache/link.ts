/** Makes a snapshot: links to blobs under the files' names, and the ref that points to the commit. */
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError } from '../../../../preload/errors'
import { writeWhole } from '../../../files/durable-file'
import type { HubFile } from '../../../../preload/hub'
import { sizeOf, type RepoCache } from './layout'

/** Whether the content of a file is in the cache: as a blob, or under its name where there are no links. */
export async function isCached(
  cache: RepoCache,
  commit: string,
  file: Omit<HubFile, 'cached'>,
): Promise<boolean> {
  return (
    (await sizeOf(cache.blob(file.hash))) === file.bytes ||
    (await sizeOf(cache.pointer(commit, file.name))) === file.bytes
  )
}

/**
 * Puts a blob under its name in a snapshot.
 * @param file one that is cached
 * @param makeLink for tests: a system without links
 * @throws PatchbayError
 */
export async function linkFile(
  cache: RepoCache,
  commit: string,
  { name, hash, bytes }: Omit<HubFile, 'cached'>,
  makeLink: typeof symlink = symlink,
): Promise<void> {
  const pointer = cache.pointer(commit, name)
  const target = path.relative(path.dirname(pointer), cache.blob(hash))
  try {
    await mkdir(path.dirname(pointer), { recursive: true })
    if ((await linkTarget(pointer)) === target) return
    if ((await sizeOf(cache.blob(hash))) === null && (await sizeOf(pointer)) === bytes) return
    // A link can't be made over another one, but moved over it, so that the name is never without a file.
    const fresh = `${pointer}.${randomBytes(4).toString('hex')}.link`
    try {
      await linkOrMove(target, cache.blob(hash), fresh, makeLink)
      await rename(fresh, pointer)
    } catch (error) {
      await rm(fresh, { force: true })
      throw error
    }
  } catch (cause) {
    throw asPatchbayError(cause)
  }
}

async function linkTarget(pointer: string): Promise<string | null> {
  return readlink(pointer).catch(() => null) // no link there: it is made anew
}

const withoutLinks = new Set<unknown>(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'])
/** Small files may be the content of several names, so there the blob stays. */
const largestCopy = 16 << 20

/** Where there are no links (Windows asks for a privilege) the blob itself moves, as huggingface_hub does it. */
async function linkOrMove(
  target: string,
  blob: string,
  pointer: string,
  makeLink: typeof symlink,
): Promise<void> {
  try {
    await makeLink(target, pointer)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && withoutLinks.has(error.code))) throw error
    if (((await sizeOf(blob)) ?? 0) <= largestCopy) await copyFile(blob, pointer)
    else await rename(blob, pointer)
  }
}

/** Notes which commit a branch or tag is at. Does nothing for a commit, or where it is noted already. */
export async function writeRef(cache: RepoCache, revision: string, commit: string): Promise<void> {
  if (revision === commit) return
  const file = cache.ref(revision)
  if ((await sizeOf(file)) === commit.length && (await readFile(file, 'utf8')) === commit) return
  await writeWhole(file, commit)
}
