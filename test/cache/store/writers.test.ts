import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { idOf, item, openStore, row, scratch } from './fixtures'

describe('several writers', () => {
  it('of one store take turns, whether in one process or in several', async () => {
    const root = scratch()
    const stores = await Promise.all([openStore(root), openStore(root), openStore(root)])
    const items = Array.from({ length: 18 }, (_, i) => item(row(i + 1), 'x'))
    await Promise.all(items.map((each, i) => stores[i % 3].put([each], { set: 'job' })))
    for (const store of stores) expect((await store.has(items.map(idOf))).every(Boolean)).toBe(true)
    expect(existsSync(path.join(root, 'writer.lock'))).toBe(false)
  })

  it('are told who writes, where the other does not finish in time', async () => {
    const root = scratch()
    mkdirSync(root, { recursive: true })
    const owner = { pid: process.ppid, started: null, host: hostname(), since: '2024-01-01T00:00:00.000Z' }
    writeFileSync(path.join(root, 'writer.lock'), JSON.stringify(owner))
    const waited: unknown[] = []
    const store = await openStore(root, { waitMs: 60, onWait: (who) => waited.push(who) })
    await expect(store.put([item(row(1), 'x')], { set: 'job' })).rejects.toMatchObject({
      code: 'disk.failed',
      message: expect.stringContaining(`process ${process.ppid}`) as string,
    })
    expect(waited).toEqual([owner])
    expect(readFileSync(path.join(root, 'writer.lock'), 'utf8')).toBe(JSON.stringify(owner))
  })

  it('take over the lock of a process that is gone, or of another one under its number', async () => {
    const host = hostname()
    const stale = [
      { pid: 2 ** 22 + 5, started: null, host, since: 'x' },
      { pid: process.pid, started: 'another boot 17', host, since: 'x' },
    ]
    for (const owner of process.platform === 'linux' ? stale : stale.slice(0, 1)) {
      const root = scratch()
      writeFileSync(path.join(root, 'writer.lock'), JSON.stringify(owner))
      const stores = await Promise.all([openStore(root), openStore(root)])
      const items = [item(row(1), 'x'), item(row(2), 'x')]
      await Promise.all(stores.map((store, i) => store.put([items[i]], { set: 'job' })))
      expect(await stores[0].has(items.map(idOf))).toEqual([true, true])
    }
  })

  it('do not take over a lock of another machine', async () => {
    const root = scratch()
    writeFileSync(
      path.join(root, 'writer.lock'),
      JSON.stringify({ pid: 2 ** 22 + 5, started: null, host: 'elsewhere.example', since: 'x' }),
    )
    const store = await openStore(root, { waitMs: 30 })
    await expect(store.gc()).rejects.toMatchObject({
      code: 'disk.failed',
      message: expect.stringContaining('elsewhere.example') as string,
    })
  })
})
