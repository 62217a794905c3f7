/**
 * One download at a time of each blob, over all Patchbay processes that share a cache: a lock file that says who holds
 * it and is touched while it is held. One whose holder died is taken over. If two should ever hold it, a blob is still
 * safe: a partial file is never made shorter, and gets its name only after its content was checked.
 */
import { mkdir, open, readFile, rm, stat, utimes } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { z } from 'zod'
import { readFailure } from '../../formats/malformed'
import type { Clock } from '../net/connection'

const holder = z.object({ pid: z.number().int().positive(), host: z.string() })

const touchedEveryMs = 10_000
/** The event loop may stand still for a while in a native run; a holder silent for longer than this is gone. */
const silentForMs = 3 * 60_000
const lookAgainMs = 250

export interface LockOptions {
  clock: Clock
  signal?: AbortSignal
  /** Called when another one has it. */
  onWait?: () => void
}

/**
 * Runs `action` while holding the lock `file`; waits for it as long as another has it.
 * @throws PatchbayError `run.cancelled` while waiting, `file.unreadable`, or what `action` throws
 */
export async function withLock<T>(file: string, options: LockOptions, action: () => Promise<T>): Promise<T> {
  await acquire(file, options)
  const touching = setInterval(() => void touch(file), touchedEveryMs)
  try {
    return await action()
  } finally {
    clearInterval(touching)
    await rm(file, { force: true })
  }
}

async function acquire(file: string, { clock, signal, onWait }: LockOptions): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  for (;;) {
    if (await create(file)) return
    if (await isAbandoned(file)) await rm(file, { force: true })
    else {
      onWait?.()
      await clock.sleep(lookAgainMs, signal)
    }
  }
}

async function create(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx')
    try {
      await handle.writeFile(JSON.stringify({ pid: process.pid, host: os.hostname() }))
    } finally {
      await handle.close()
    }
    return true
  } catch (cause) {
    if (errno(cause) === 'EEXIST') return false
    throw readFailure(file, cause)
  }
}

async function isAbandoned(file: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file)
    if (Date.now() - mtimeMs > silentForMs) return true
    const said = holder.safeParse(JSON.parse((await readFile(file, 'utf8')) || 'null'))
    return said.success && said.data.host === os.hostname() && !isAlive(said.data.pid)
  } catch (cause) {
    if (errno(cause) === 'ENOENT') return true
    if (cause instanceof SyntaxError) return false // being written, or not ours to judge before it is silent
    throw readFailure(file, cause)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return errno(cause) !== 'ESRCH' // EPERM: another person's process, alive
  }
}

/** A lock that is gone or not to be touched costs at most that another process downloads the same. */
const touch = (file: string): Promise<void> => utimes(file, new Date(), new Date()).catch(() => undefined)

const errno = (cause: unknown): unknown =>
  cause instanceof Error && 'code' in cause ? cause.code : undefined
