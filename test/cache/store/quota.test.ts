import { statSync, utimesSync } from 'node:fs'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { forecastBytes } from '../../../main/cache/store/quota'
import type { ActivationStore } from '../../../main/cache/store/store'
import { idOf, item, openStore, row, scratch, shardFiles } from './fixtures'

describe('the quota', () => {
  const sized = (token: number) => item(row(token), 'x', { shape: [1, 25_000] })
  const quota = 350_000

  const filled = async (root: string, options = {}): Promise<ActivationStore> => {
    const store = await openStore(root, options)
    await store.gc({ quota })
    return store
  }
  const there = (store: ActivationStore, tokens: number[]) =>
    store.has(tokens.map((token) => idOf(sized(token))))

  it('is kept by removing what was used longest ago; reading is using', async () => {
    const root = scratch()
    const store = await filled(root)
    for (const token of [1, 2, 3]) await store.put([sized(token)], { set: `s${token}` })
    await (await openStore(root)).read(idOf(sized(1))) // another process
    await store.put([sized(4)], { set: 's4' })
    expect(await there(store, [1, 2, 3, 4])).toEqual([true, false, true, true])
    expect(store.statistics().bytes).toBeLessThanOrEqual(quota)
    expect((await openStore(root)).statistics().quota).toBe(quota)
  })

  it('keeps the order of use where the clock is set back', async () => {
    const root = scratch()
    const store = await filled(root)
    for (const token of [1, 2]) await store.put([sized(token)], { set: `s${token}` })
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 86_400_000)
    const later = await openStore(root)
    await later.put([sized(3)], { set: 's3' })
    await later.read(idOf(sized(1)))
    await later.put([sized(4)], { set: 's4' })
    expect(await there(later, [1, 2, 3, 4])).toEqual([true, false, true, true])
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('never takes what is pinned, and says so where that leaves no room', async () => {
    const store = await filled(scratch())
    for (const token of [1, 2, 3]) {
      await store.put([sized(token)], { set: `s${token}` })
      await store.label(`s${token}`, { pinned: token < 3, note: 'weeks of work' })
    }
    await store.put([sized(4)], { set: 's4' })
    expect(await there(store, [1, 2, 3, 4])).toEqual([true, true, false, true])
    await store.label('s4', { pinned: true })
    await expect(store.put([sized(5)], { set: 's5' })).rejects.toMatchObject({
      code: 'disk.full',
      message: expect.stringMatching(/pinned/) as string,
    })
    expect(await there(store, [1, 2, 4])).toEqual([true, true, true])
    expect((await store.list()).find(({ set }) => set === 's1')?.label).toEqual({
      pinned: true,
      note: 'weeks of work',
    })
  })

  it('may evict what is being read: readers get it whole or not at all', async () => {
    const root = scratch()
    const store = await filled(root)
    await store.put([sized(1)], { set: 's1' })
    const reader = await openStore(root)
    const reads: Promise<unknown>[] = []
    let writing = true
    const reading = (async () => {
      while (writing)
        for (let token = 1; token <= 12; token++) {
          const values = await reader.read(idOf(sized(token)))
          if (values !== null) expect(values.data).toEqual(sized(token).data)
        }
    })()
    for (let token = 2; token <= 12; token++) await store.put([sized(token)], { set: `s${token}` })
    writing = false
    await Promise.all([reading, ...reads])
    expect(reader.statistics().damaged).toBe(0)
  })
})

it('removes what matches, and only that', async () => {
  const root = scratch()
  const store = await openStore(root)
  const items = [item(row(1), 'a'), item(row(1), 'b'), item(row(2), 'a')]
  await store.put(items, { set: 'job' })
  utimesSync(shardFiles(root)[0], 1000, 1000)
  expect(await store.remove({ output: 'a', row: items[0].row.slice(0, 10) })).toEqual({
    entries: 1,
    removed: 0,
    rewritten: 1,
  })
  expect(await store.has(items.map(idOf))).toEqual([false, true, true])
  expect(statSync(shardFiles(root)[0]).mtimeMs).toBe(1_000_000)
  expect(await store.remove({ model: 'ff' })).toMatchObject({ entries: 0 })
  expect(await store.remove({ model: 'ab' })).toEqual({ entries: 2, removed: 1, rewritten: 0 })
  expect(shardFiles(root)).toEqual([])
})

describe('the forecast', () => {
  it('is a little more than what is then taken, for any dtype', async () => {
    for (const dtype of ['float32', 'float16', 'bfloat16', 'int8'] as const) {
      const store = await openStore()
      const lengths = [3, 40, 17]
      const points = ['blocks.0.hook_resid_pre', 'blocks.0.attn.hook_pattern']
      const shapes = [(tokens: number) => [tokens, 96], (tokens: number) => [2, tokens, tokens]]
      const items = lengths.flatMap((tokens, i) =>
        points.map((output, j) =>
          item(row(...Array.from({ length: tokens }, (_, at) => at + i)), output, {
            shape: shapes[j](tokens),
            dtype,
          }),
        ),
      )
      await store.put(items, { set: 'job' })
      const outputs = points.map((output, j) => ({ output, shapeOf: shapes[j] }))
      const forecast = forecastBytes(lengths, outputs, dtype)
      const { bytes } = store.statistics()
      expect(forecast).toBeGreaterThanOrEqual(bytes)
      expect(forecast).toBeLessThan(1.2 * bytes + 8192)
    }
  })
})
