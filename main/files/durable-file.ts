/**
 * A large file that is there whole or not at all: written piece by piece to a partial file in the same folder, synced,
 * renamed over the target, and the folder synced. The file system is a parameter, so that its failures can be tested.
 */
import { randomBytes } from 'node:crypto'
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError, asPatchbayError } from '../../preload/errors'
import { makeFolder, syncFolder } from './durable-folder'

/** What is used of an open file. */
export interface WritableHandle {
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>
  sync(): Promise<void>
  close(): Promise<void>
}

/** What is used of the file system. */
export interface WritableFs {
  open(file: string, flags: string): Promise<WritableHandle>
  rename(from: string, to: string): Promise<void>
  rm(file: string, options: { force: true }): Promise<void>
  mkdir(folder: string, options: { recursive: true }): Promise<unknown>
  readdir(folder: string): Promise<string[]>
  stat(file: string): Promise<{ mtimeMs: number }>
  statfs(folder: string): Promise<{ bavail: number; bsize: number }>
}

export interface DurableOptions {
  /** Checked before every write: a cancelled write leaves nothing behind. */
  signal?: AbortSignal
  fs?: WritableFs
}

/** Appends bytes to the file being written. */
export type Append = (bytes: Uint8Array) => Promise<void>

/** Node takes less than 2 GiB at once; smaller pieces let a cancellation through. */
const largestWrite = 64 << 20

/** Without a change for this long, a partial file belongs to a process that died. */
const abandonedAfterMs = 60 * 60 * 1000

/**
 * Writes `target`, making its folder where needed. If `produce` or the disk fails, the partial file is removed and what
 * was at `target` stays as it was. Partial files that a crashed process left for the same target are removed too.
 * @param produce is given a function that appends, and writes the whole content with it
 * @throws PatchbayError `disk.full`, `disk.failed`, `file.unreadable` (no permission), `run.cancelled`, or what `produce` throws
 */
export async function writeDurably(
  target: string,
  produce: (append: Append) => Promise<void>,
  { signal, fs = nodeFs }: DurableOptions = {},
): Promise<void> {
  const folder = path.dirname(path.resolve(target))
  const partial = path.join(folder, `${partialPrefix(target)}${randomBytes(6).toString('hex')}.partial`)
  try {
    await makeFolder(folder, fs)
    await sweepPartials(target, fs)
    await writePartial(partial, produce, signal, fs)
    throwIfCancelled(signal, target)
    await fs.rename(partial, target)
  } catch (error) {
    await fs.rm(partial, { force: true }).catch(() => undefined) // the first failure is the one to report
    throw writeFailure(target, error)
  }
  await syncFolder(folder, fs).catch((error: unknown) => {
    throw writeFailure(target, error)
  })
}

/** `writeDurably` of bytes or text that is in memory. A symbolic link at `target` is replaced, not followed. */
export const writeWhole = (
  target: string,
  content: Uint8Array | string,
  options?: DurableOptions,
): Promise<void> =>
  writeDurably(
    target,
    (append) => append(typeof content === 'string' ? Buffer.from(content) : content),
    options,
  )

async function writePartial(
  partial: string,
  produce: (append: Append) => Promise<void>,
  signal: AbortSignal | undefined,
  fs: WritableFs,
): Promise<void> {
  const handle = await fs.open(partial, 'wx')
  try {
    let position = 0
    await produce(async (bytes) => {
      let done = 0
      while (done < bytes.length) {
        throwIfCancelled(signal, partial)
        const { bytesWritten } = await handle.write(
          bytes,
          done,
          Math.min(bytes.length - done, largestWrite),
          position,
        )
        done += bytesWritten
        position += bytesWritten
      }
    })
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const partialPrefix = (target: string): string => `.${path.basename(target)}.`

async function sweepPartials(target: string, fs: WritableFs): Promise<void> {
  const folder = path.dirname(path.resolve(target))
  const prefix = partialPrefix(target)
  for (const name of await fs.readdir(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith('.partial')) continue
    const file = path.join(folder, name)
    try {
      if (Date.now() - (await fs.stat(file)).mtimeMs > abandonedAfterMs) await fs.rm(file, { force: true })
    } catch {
      // Gone meanwhile, or another user's: either way it is not in the way of this write.
    }
  }
}

/**
 * Removes what processes that died left half-written in a folder that nobody else writes to now.
 * @throws what the disk says
 */
export async function removePartials(folder: string): Promise<void> {
  for (const name of await nodeFs.readdir(folder))
    if (name.startsWith('.') && name.endsWith('.partial'))
      await nodeFs.rm(path.join(folder, name), { force: true })
}

/**
 * Refuses to begin what can't be finished: compares the free space where `target` will lie with what it needs.
 * @param bytes size of the file to be written
 * @throws PatchbayError `disk.full` saying how much is needed and how much there is
 */
export async function requireSpace(target: string, bytes: number, fs: WritableFs = nodeFs): Promise<void> {
  const folder = path.dirname(path.resolve(target))
  let free: number
  try {
    await fs.mkdir(folder, { recursive: true })
    const { bavail, bsize } = await fs.statfs(folder)
    free = bavail * bsize
  } catch (error) {
    throw writeFailure(target, error)
  }
  if (free >= bytes) return
  throw new PatchbayError(
    'disk.full',
    `${path.basename(target)} needs ${megabytes(bytes)} MB, but only ${megabytes(free)} MB are free in ${folder}.`,
    { file: target, next: `Free ${megabytes(bytes - free)} MB there, or choose another folder.` },
  )
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)

export function throwIfCancelled(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted === true)
    throw new PatchbayError('run.cancelled', `Cancelled while ${path.basename(what)} was worked on.`, {
      next: 'Nothing half-written was kept; start again when you like.',
    })
}

function writeFailure(target: string, error: unknown): PatchbayError {
  if (error instanceof PatchbayError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const details = { file: target, cause: error }
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG')
    return new PatchbayError('disk.full', `The disk filled up while ${path.basename(target)} was written.`, {
      ...details,
      next: 'Free some space and try again; nothing half-written was kept.',
    })
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new PatchbayError('disk.failed', `${path.basename(target)} may not be written there (${code}).`, {
      ...details,
      next: 'Choose another folder, or check its permissions.',
    })
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code))
    return new PatchbayError('disk.failed', `${path.basename(target)} could not be written (${code}).`, {
      ...details,
      next: 'Check the disk and the path; nothing half-written was kept.',
    })
  return asPatchbayError(error)
}
