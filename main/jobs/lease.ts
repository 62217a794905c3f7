/**
 * Which process works on a job: two windows, or a window and a terminal, may share one folder of jobs. The claim is a file
 * that only one can create; one whose process is gone is taken over.
 */
import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { z } from 'zod'

const owner = z.object({ pid: z.number().int(), host: z.string(), token: z.string() })
const leaseFile = 'owner.json'

export interface Lease {
  /** Gives the job back. */
  release(): Promise<void>
}

/** Claims the job in `folder`; null where a living process has it. */
export async function claim(folder: string): Promise<Lease | null> {
  await mkdir(folder, { recursive: true })
  const file = path.join(folder, leaseFile)
  const own = { pid: process.pid, host: os.hostname(), token: randomBytes(8).toString('hex') }
  const lease = { release: () => rm(file, { force: true }) }
  if (await create(file, own)) return lease
  if ((await isHeld(file)) || !(await clear(file, own))) return null
  return (await create(file, own)) ? lease : null
}

type Owner = z.infer<typeof owner>

/** Whether the file could be created: with its whole content at once, or not at all. */
async function create(file: string, own: Owner): Promise<boolean> {
  const whole = path.join(path.dirname(file), `.${path.basename(file)}.${own.token}.partial`)
  await writeFile(whole, JSON.stringify(own))
  try {
    await link(whole, file)
    return true
  } catch (error) {
    // Gone: swept by whoever has it.
    if (error instanceof Error && 'code' in error && (error.code === 'EEXIST' || error.code === 'ENOENT'))
      return false
    throw error
  } finally {
    await rm(whole, { force: true })
  }
}

/** A takeover takes milliseconds; one that is older belongs to a process that died over it. */
const takeoverMs = 10_000

/**
 * Removes a dead process's claim. Only who holds the takeover may, so what it has found to be dead is still that when it
 * is removed. False where another is at it.
 */
async function clear(file: string, own: Owner): Promise<boolean> {
  const takeover = `${file}.takeover`
  if (!(await create(takeover, own))) {
    const { mtimeMs } = await stat(takeover).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > takeoverMs) await rm(takeover, { force: true })
    return false
  }
  try {
    if (!(await isHeld(file))) await rm(file, { force: true })
    return true
  } finally {
    await rm(takeover, { force: true })
  }
}

/** Whether a living process holds it. On another machine nobody can tell, so it counts as living. */
async function isHeld(file: string): Promise<boolean> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
  const parsed = owner.safeParse(jsonOrNull(text))
  if (!parsed.success) return false
  if (parsed.data.host !== os.hostname()) return true
  return isAlive(parsed.data.pid)
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // torn by a crash: nobody holds it
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process answers EPERM: it lives.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
