/** Readings and writings that are under way at the same time in one process and in several. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StoreFs } from '../../../main/cache/store/store-fs'
import { idOf, item, openStore, row, scratch, shardFiles, unsynced } from './fixtures'

/** Something that waits until it is let go, and says when it is reached. */
class Gate {
  private arrive: () => void = () => undefined
  private open: () => void = () => undefined
  readonly reached = new Promise<void>((resolve) => (this.arrive = resolve))
  private readonly opened = new Promise<void>((resolve) => (this.open = resolve))
  private used = false

  /** Waits, the first time. */
  async pass(): Promise<void> {
    if (this.used) return
    this.used = true
    this.arrive()
    await this.opened
  }

  letGo(): void {
    this.open()
  }
}

const isShards = (folder: string): boolean => path.basename(folder) === 'shards'

describe('a reading of the folder that is under way', () => {
  const first = item(row(1, 2), 'hook_embed')
  const second = item(row(3, 4), 'hook_embed')

  it('does not forget what is stored meanwhile', async () => {
    const [renaming, listed] = [new Gate(), new Gate()]
    let hold = false
    const fs: StoreFs = {
      ...unsynced,
      rename: async (from, to) => {
        if (hold && isShards(path.dirname(to))) await renaming.pass()
        await unsynced.rename(from, to)
      },
      readdir: async (folder) => {
        const names = await unsynced.readdir(folder)
        if (hold && isShards(folder)) await listed.pass()
        return names
      },
    }
    const store = await openStore(scratch(), { fs })
    await store.put([first], { set: 'one' })
    hold = true
    const putting = store.put([second], { set: 'one' })
    // Who wants to write reads the folder too; that one is let through first.
    await listed.reached
    listed.letGo()
    await renaming.reached
    const again = new Gate()
    fs.readdir = async (folder) => {
      const names = await unsynced.readdir(folder)
      if (isShards(folder)) await again.pass()
      return names
    }
    const listing = store.list()
    await again.reached
    renaming.letGo()
    expect(await putting).toMatchObject({ stored: 1 })
    again.letGo()
    await listing
    expect(store.statistics()).toMatchObject({ entries: 2 })
  })

  it('does not bring back what is removed meanwhile', async () => {
    const [removing, listed] = [new Gate(), new Gate()]
    let hold = false
    const fs: StoreFs = {
      ...unsynced,
      rm: async (file, options) => {
        if (hold && file.endsWith('.safetensors')) await removing.pass()
        await unsynced.rm(file, options)
      },
    }
    const store = await openStore(scratch(), { fs })
    await store.put([first], { set: 'one' })
    await store.put([second], { set: 'two' })
    await store.gc() // the index knows both
    hold = true
    const going = store.remove({ set: 'one' })
    await removing.reached
    fs.readdir = async (folder) => {
      const names = await unsynced.readdir(folder)
      if (isShards(folder)) await listed.pass()
      return names
    }
    const listing = store.list()
    await listed.reached
    removing.letGo()
    expect(await going).toMatchObject({ entries: 1 })
    listed.letGo()
    await listing
    expect(store.statistics()).toMatchObject({ entries: 1 })
  })

  it('is not what a writer goes by: it began before another process stored', async () => {
    const root = scratch()
    const listed = new Gate()
    let hold = false
    const fs: StoreFs = {
      ...unsynced,
      readdir: async (folder) => {
        const names = await unsynced.readdir(folder)
        if (hold && isShards(folder)) await listed.pass()
        return names
      },
    }
    const store = await openStore(root, { fs })
    await store.put([first], { set: 'one' })
    hold = true
    const listing = store.list()
    await listed.reached
    await (await openStore(root)).put([second], { set: 'two' })
    const putting = store.put([second], { set: 'one' })
    listed.letGo()
    expect(await putting).toMatchObject({ stored: 0, present: 1 })
    await listing
  })
})

describe('the writer’s lock', () => {
  const value = item(row(1, 2), 'hook_embed')

  it('that the disk did not remove does not keep its own process out', async () => {
    const root = scratch()
    let fail = true
    const fs: StoreFs = {
      ...unsynced,
      rm: (file, options) => {
        if (!fail || !file.endsWith('writer.lock')) return unsynced.rm(file, options)
        fail = false
        return Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
      },
    }
    const store = await openStore(root, { fs, waitMs: 0 })
    await expect(store.put([value], { set: 'one' })).rejects.toMatchObject({ code: 'disk.failed' })
    expect(existsSync(path.join(root, 'writer.lock'))).toBe(true)
    expect(await store.put([value], { set: 'one' })).toMatchObject({ present: 1 })
    expect(existsSync(path.join(root, 'writer.lock'))).toBe(false)
  })

  it('of who took it over is not removed by who was taken for dead', async () => {
    const root = scratch()
    const lock = path.join(root, 'writer.lock')
    const other = JSON.stringify({ pid: process.ppid, started: null, host: hostname(), since: 'x' })
    const fs: StoreFs = {
      ...unsynced,
      rename: async (from, to) => {
        await unsynced.rename(from, to)
        if (isShards(path.dirname(to))) writeFileSync(lock, other)
      },
    }
    const store = await openStore(root, { fs })
    await store.put([value], { set: 'one' })
    expect(readFileSync(lock, 'utf8')).toBe(other)
  })

  it('is asked for again by who was taken for dead before it was filled', async () => {
    const root = scratch()
    const lock = path.join(root, 'writer.lock')
    let fills = 0
    const fs: StoreFs = {
      ...unsynced,
      open: async (file, flags) => {
        const handle = await unsynced.open(file, flags)
        // While this one was stopped, another took the lock over, wrote, and gave it back.
        if (file === lock && ++fills === 1) rmSync(lock)
        return handle
      },
    }
    const store = await openStore(root, { fs })
    expect(await store.put([value], { set: 'one' })).toMatchObject({ stored: 1 })
    expect(fills).toBe(2)
  })
})

describe('a put', () => {
  /** Two shards' worth of entries, each of one number. */
  const many = Array.from({ length: 8193 }, (_, i) => item(row(1), `x${i}`, { shape: [1, 1], seed: i + 1 }))

  it('is refused where it alone is larger than the quota, and does not report what it evicts itself', async () => {
    const store = await openStore()
    await store.put(many.slice(0, 8192), { set: 'measured' })
    const { bytes } = store.statistics()
    await store.remove({ set: 'measured' })
    await store.gc({ quota: bytes + 100 })
    await expect(store.put(many, { set: 'one' })).rejects.toMatchObject({ code: 'disk.full' })
  })

  it('does not evict what it reports as present', async () => {
    const store = await openStore()
    const sized = (token: number) => item(row(token), 'x', { shape: [1, 25_000] })
    await store.gc({ quota: 150_000 })
    await store.put([sized(1)], { set: 'one' })
    await expect(store.put([sized(1), sized(2)], { set: 'two' })).rejects.toMatchObject({ code: 'disk.full' })
    expect(await store.has([1, 2].map((token) => idOf(sized(token))))).toEqual([true, false])
  })
})

it('goes on using a disk that failed while it was asked when a value was used last', async () => {
  const root = scratch()
  const value = item(row(1, 2), 'hook_embed')
  await (await openStore(root)).put([value], { set: 'one' })
  let failures = 0
  const fs: StoreFs = {
    ...unsynced,
    stat: (file) =>
      file.endsWith('.safetensors') && failures++ === 0
        ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
        : unsynced.stat(file),
  }
  const store = await openStore(root, { fs })
  for (let round = 0; round < 2; round++) expect((await store.read(idOf(value)))?.data).toEqual(value.data)
  expect(failures).toBe(1)
  expect(await store.put([item(row(5), 'y')], { set: 'one' })).toMatchObject({ stored: 1 })
})

it('removes with gc what processes left that died while they wrote a shard, the index, labels or a mark', async () => {
  const root = scratch()
  const store = await openStore(root)
  const value = item(row(1, 2), 'hook_embed')
  await store.put([value], { set: 'one' })
  await store.gc()
  mkdirSync(path.join(root, 'quarantine'))
  const left = [
    'shards/.a.safetensors',
    'index/.entries.table',
    '.labels.json',
    '.store.json',
    'quarantine/.0123456789abcdef',
  ].map((name) => path.join(root, `${name}.0123456789ab.partial`))
  for (const file of left) writeFileSync(file, 'half')
  await store.gc()
  expect(left.filter((file) => existsSync(file))).toEqual([])
  expect(shardFiles(root)).toHaveLength(1)
  expect((await store.read(idOf(value)))?.data).toEqual(value.data)
})

it('joins shards of which some hold the same: a process died over gc before the old ones went', async () => {
  const root = scratch()
  const store = await openStore(root)
  const items = [item(row(1, 2), 'a'), item(row(3, 4), 'a', { dtype: 'int8' })]
  for (const each of items) await store.put([each], { set: 'one' })
  const old = shardFiles(root).map((file) => ({ file, bytes: readFileSync(file) }))
  await store.gc()
  for (const { file, bytes } of old) writeFileSync(file, bytes)
  const next = await openStore(root)
  expect(next.statistics().entries).toBe(4)
  await next.gc()
  for (const reader of [next, await openStore(root)]) {
    expect(reader.statistics()).toMatchObject({ entries: 2, damaged: 0 })
    expect((await reader.read(idOf(items[0])))?.data).toEqual(items[0].data)
    expect(await reader.read(idOf(items[1]))).not.toBeNull()
  }
})
