import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { claim } from '../../main/jobs/lease'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-lease-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const leave = (owner: unknown): void =>
  writeFileSync(path.join(folder, 'owner.json'), typeof owner === 'string' ? owner : JSON.stringify(owner))
const dead = { pid: 2 ** 30, host: os.hostname(), token: 'x' }

describe('a claim on a job', () => {
  it('is had by one at a time, and free again once it is given back', async () => {
    const first = await claim(folder)
    expect(first).not.toBeNull()
    expect(await claim(folder)).toBeNull()
    await first?.release()
    const second = await claim(folder)
    expect(second).not.toBeNull()
    await second?.release()
    expect(readdirSync(folder)).toEqual([])
  })

  it.each([
    ['a process that died', dead],
    ['a process that died while it wrote', '{"pid":'],
  ])('is taken over from %s, by one of all who try', async (_, owner) => {
    leave(owner)
    const claims = await Promise.all(Array.from({ length: 8 }, () => claim(folder)))
    expect(claims.filter((lease) => lease !== null)).toHaveLength(1)
    expect(readdirSync(folder)).toEqual(['owner.json'])
  })

  it('is left to a process on another machine, of which nobody here can tell', async () => {
    leave({ ...dead, host: 'elsewhere' })
    expect(await claim(folder)).toBeNull()
  })
})
