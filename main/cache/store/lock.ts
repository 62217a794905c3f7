/**
 * One writer at a time, of all processes: a lock file that says whose it is. A lock whose process is gone (or is another
 * one under the same number) is taken over. Waiting is measured by this process alone, so a changed clock does not matter.
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import type { WritableHandle } from '../../files/durable-file'
import { isMissing, type StoreFs } from './store-fs'

const lockOwner = z.object({
  pid: z.number().int().positive(),
  /** When the process started, as the system counts; null where that can not be known. */
  started: z.string().nullable(),
  host: z.string(),
  since: z.string(),
  /** Which of the process' locks it is: only who made it can know whether it is still held. */
  holder: z.string().optional(),
})
export type LockOwner = z.infer<typeof lockOwner>

export interface LockOptions {
  fs: StoreFs
  /** How long to wait for another writer, in ms. */
  waitMs?: number
  signal?: AbortSignal
  /** Called once, when there is somebody to wait for. */
  onWait?: (owner: LockOwner) => void
}

const POLL_MS = 25
/** A lock that stays empty so long belongs to a process that died between making and filling it. */
const EMPTY_MS = 2000

/** Locks that are held here. One of ours that is not among them was left behind when the disk did not remove it. */
const held = new Set<string>()
const self = randomUUID()
let locks = 0

/**
 * Runs `work` while holding `file`.
 * @throws PatchbayError `disk.failed` that names the process that writes, when it does not finish in time;
 * `run.cancelled`; what the disk or `work` throws
 */
export async function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const holder = `${self}/${locks++}`
  held.add(holder)
  try {
    const own = JSON.stringify({ ...(await ownIdentity()), holder })
    await acquire(file, own, options)
    let done: T
    try {
      done = await work()
    } catch (error) {
      await release(file, own, options.fs).catch(() => undefined) // the first failure is the one to report
      throw error
    }
    await release(file, own, options.fs)
    return done
  } finally {
    held.delete(holder)
  }
}

/** Removes the lock, unless this process was taken for dead and somebody else has made one of their own. */
async function release(file: string, own: string, fs: StoreFs): Promise<void> {
  if (await holds(file, own, fs)) await fs.rm(file, { force: true })
}

async function holds(file: string, content: string, fs: StoreFs): Promise<boolean> {
  return (await textOf(file, fs)) === content
}

async function acquire(
  file: string,
  own: string,
  { fs, waitMs = 30_000, signal, onWait }: LockOptions,
): Promise<void> {
  const start = performance.now()
  let told = false
  let emptySince = Infinity
  for (;;) {
    if (signal?.aborted === true)
      throw new PatchbayError(
        'run.cancelled',
        'Cancelled while waiting for another writer of the activation store.',
      )
    // Stopped for long between making and filling it, this process may have been taken for dead.
    if ((await take(file, own, fs)) && (await holds(file, own, fs))) return
    const owner = await ownerOf(file, fs)
    emptySince = owner === 'empty' ? Math.min(emptySince, performance.now()) : Infinity
    if (
      owner === 'empty' ? performance.now() - emptySince > EMPTY_MS : owner !== null && (await isGone(owner))
    ) {
      await breakLock(file, owner, own, fs)
      continue
    }
    if (owner !== null && owner !== 'empty' && !told) {
      told = true
      onWait?.(owner)
    }
    if (performance.now() - start > waitMs) throw busy(file, owner)
    await pause(POLL_MS)
  }
}

/** Makes the lock with its content; false where there is one. */
async function take(file: string, content: string, fs: StoreFs): Promise<boolean> {
  try {
    await fs.mkdir(path.dirname(file), { recursive: true })
    const handle = await fs.open(file, 'wx')
    try {
      await fill(handle, content)
    } catch (error) {
      await fs.rm(file, { force: true })
      throw error
    }
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw asPatchbayError(error)
  }
}

async function fill(handle: WritableHandle, content: string): Promise<void> {
  try {
    const bytes = Buffer.from(content)
    await handle.write(bytes, 0, bytes.length, 0)
  } finally {
    await handle.close()
  }
}

/** Whose lock it is; null where it was given back meanwhile, `empty` where it is not filled (yet). */
async function ownerOf(file: string, fs: StoreFs): Promise<LockOwner | 'empty' | null> {
  const text = await textOf(file, fs)
  if (text === null) return null
  const parsed = lockOwner.safeParse(parseJson(text))
  return parsed.success ? parsed.data : 'empty'
}

async function textOf(file: string, fs: StoreFs): Promise<string | null> {
  try {
    return Buffer.from(await fs.readFile(file)).toString('utf8')
  } catch (error) {
    if (isMissing(error)) return null
    throw asPatchbayError(error)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // half-written: not an owner
  }
}

/**
 * Removes a lock whose owner is gone. Of several processes that find it so, one at a time may look again and remove it;
 * otherwise one could remove the lock that another has just made.
 */
async function breakLock(
  file: string,
  seen: LockOwner | 'empty' | null,
  own: string,
  fs: StoreFs,
): Promise<void> {
  const breaking = `${file}.breaking`
  if (!(await take(breaking, own, fs))) {
    const owner = await ownerOf(breaking, fs)
    if (owner === 'empty' || (owner !== null && (await isGone(owner)))) {
      // Died within the few microseconds of breaking a lock, or is at it: the pause tells the two apart.
      await pause(EMPTY_MS)
      const later = await ownerOf(breaking, fs)
      if (JSON.stringify(later) === JSON.stringify(owner)) await fs.rm(breaking, { force: true })
    } else await pause(POLL_MS)
    return
  }
  try {
    const now = await ownerOf(file, fs)
    if (now !== null && JSON.stringify(now) === JSON.stringify(seen)) await fs.rm(file, { force: true })
  } finally {
    await fs.rm(breaking, { force: true })
  }
}

function busy(file: string, owner: LockOwner | 'empty' | null): PatchbayError {
  const who =
    owner === null || owner === 'empty'
      ? 'another process'
      : `process ${owner.pid} on ${JSON.stringify(owner.host)} since ${owner.since}`
  return new PatchbayError('disk.failed', `The activation store is being written by ${who}.`, {
    file,
    next: 'Wait until it is done and try again. If no such process runs, delete the lock file.',
  })
}

/** Whether the owner runs no more. On another machine that can not be known. */
async function isGone({ pid, started, host, holder }: LockOwner): Promise<boolean> {
  if (host !== os.hostname()) return false
  if (holder?.startsWith(self) === true && !held.has(holder)) return true
  if (!isRunning(pid)) return true
  const now = await startOf(pid)
  return started !== null && now !== null && started !== now
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

async function ownIdentity(): Promise<LockOwner> {
  return {
    pid: process.pid,
    started: await startOf(process.pid),
    host: os.hostname(),
    since: new Date().toISOString(),
  }
}

/** On Linux the boot and the clock tick at which a process started (proc(5), field 22); null elsewhere. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const [boot, stat] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ])
    // The command's name stands in brackets and may hold anything; fields count on behind the last bracket.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return `${boot.trim()} ${fields[19]}`
  } catch {
    return null // not Linux, or the process ended just now, which `isRunning` will see
  }
}
