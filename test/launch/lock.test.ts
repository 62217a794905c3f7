import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withLock } from '../../main/launch/lock.mjs'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('a lock', () => {
  const lock = (): string => path.join(folder, 'deep', 'x.lock')

  it('lets one at a time do its work, and is gone afterwards', async () => {
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside)
      await new Promise((resolve) => setImmediate(resolve))
      inside--
    }
    await Promise.all(Array.from({ length: 5 }, () => withLock(lock(), work, { pollMs: 1 })))
    expect(most).toBe(1)
    expect(readdirSync(path.dirname(lock()))).toEqual([])
  })

  it('is given back when the work fails', async () => {
    const failing = withLock(lock(), async () => {
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await withLock(lock(), async () => 'free')).toBe('free')
  })

  it('is taken over from a process that no longer lives', async () => {
    mkdirSync(path.dirname(lock()))
    writeFileSync(lock(), '4194000')
    expect(await withLock(lock(), async () => 'mine', { isAlive: () => false, pollMs: 1 })).toBe('mine')
  })

  it('waits for a process that lives, and says so once', async () => {
    mkdirSync(path.dirname(lock()))
    writeFileSync(lock(), '77')
    const waitedFor: number[] = []
    let looks = 0
    const isAlive = (): boolean => {
      if (++looks === 3) rmSync(lock())
      return true
    }
    await withLock(lock(), async () => {}, {
      isAlive,
      onWait: (pid: number) => waitedFor.push(pid),
      pollMs: 1,
    })
    expect(waitedFor).toEqual([77])
  })
})
