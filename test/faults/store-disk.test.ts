import { cpSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ActivationStore } from '../../main/cache/store/store'
import { realFs, type StoreFs } from '../../main/cache/store/store-fs'
import type { PatchbayError } from '../../preload/errors'
import { idOf, item, openStore, row, scratch, shardFiles, unsynced } from '../cache/store/fixtures'
import { failing } from './support/failing-fs'
import { temporaryFiles } from './support/temporary-files'
import { thorough } from './support/thorough'

describe('a disk that fails at its n-th operation', () => {
  const first = item(row(1, 2), 'hook_embed')
  const second = item(row(3, 4), 'hook_embed')
  const third = item(row(3, 4), 'hook_pos_embed')
  const codes = {
    ENOSPC: ['disk.full'],
    EIO: ['disk.failed', 'file.unreadable'],
    EROFS: ['disk.failed', 'file.unreadable'],
  }
  const actions: Record<string, (store: ActivationStore) => Promise<unknown>> = {
    put: (store) => store.put([third], { set: 'two' }),
    gc: (store) => store.gc(),
    label: (store) => store.label('one', { pinned: true }),
    'remove a part': (store) => store.remove({ output: 'hook_pos_embed' }),
  }

  for (const [name, action] of Object.entries(actions))
    it(`never loses what was stored, wherever ${name} fails`, async () => {
      const prepared = scratch()
      const before = await openStore(prepared)
      await before.put([first], { set: 'one' })
      await before.put([second, { ...third, output: 'kept' }], { set: 'one' })
      if (name !== 'put') await before.put([third], { set: 'one' })
      const prepare = (): string => {
        const root = path.join(scratch(), 'store')
        cpSync(prepared, root, { recursive: true })
        return root
      }
      const counted = failing(0, '', false)
      const counting = await ActivationStore.open(prepare(), { producer: 'test', fs: counted.fs })
      await action(counting)
      await counting.close()
      expect(counted.count()).toBeGreaterThan(10)
      for (const [i, [errno, allowed]] of Object.entries(codes).entries())
        for (const [j, forever] of [false, true].entries())
          for (let n = 1; n <= counted.count(); n++) {
            // In a short run every step fails once, in one of the six ways.
            if (!thorough && n % 6 !== 2 * i + j) continue
            const root = prepare()
            const { fs, count } = failing(n, errno, forever)
            let error: PatchbayError | null = null
            let store: ActivationStore | undefined
            try {
              store = await ActivationStore.open(root, { producer: 'test', fs, waitMs: 0 })
              await action(store)
            } catch (thrown) {
              error = thrown as PatchbayError
            }
            // A disk that works again is written to again by the same process.
            if (store !== undefined && !forever && count() >= n)
              await store.put([{ ...first, output: 'again' }], { set: 'again' })
            await store?.close()
            if (error !== null) expect(allowed, `${errno} at ${n}: ${error.message}`).toContain(error.code)
            const after = await ActivationStore.open(root, { producer: 'test', fs: unsynced })
            for (const stored of [first, second])
              expect((await after.read(idOf(stored)))?.data).toEqual(stored.data)
            // Reported or not, what was put is whole or absent.
            const last = await after.read(idOf(third))
            if (last !== null) expect(last.data).toEqual(third.data)
            if (name === 'put' && error === null) expect(last).not.toBeNull()
            await after.put([{ ...first, output: 'later' }], { set: 'later' })
            expect((await after.verify()).damaged).toEqual([])
            expect(shardFiles(root).filter((file) => path.basename(file).startsWith('.'))).toEqual([])
            await after.close()
          }
    }, 120_000)

  it('reports of several puts under way only those as stored that are', async () => {
    const puts = [first, second, third, item(row(5, 6, 7), 'hook_embed', { dtype: 'int8' })]
    const run = (store: ActivationStore) =>
      Promise.allSettled(puts.map((each, i) => store.put([each], { set: `set-${i % 3}` })))
    const counted = failing(0, '', false)
    const counting = await ActivationStore.open(scratch(), { producer: 'test', fs: counted.fs })
    await run(counting)
    await counting.close()
    expect(counted.count()).toBeGreaterThan(80)
    let partly = 0
    for (const [i, [errno, allowed]] of Object.entries(codes).entries())
      for (const [j, forever] of [false, true].entries())
        for (let n = 1; n <= counted.count(); n++) {
          if (!thorough && n % 6 !== 2 * i + j) continue
          const root = scratch()
          const { fs } = failing(n, errno, forever)
          const store = await ActivationStore.open(root, { producer: 'test', fs, waitMs: 0 }).catch(
            () => null,
          )
          if (store === null) continue
          const ended = await run(store)
          await store.close()
          const fulfilled = ended.filter(({ status }) => status === 'fulfilled').length
          if (fulfilled > 0 && fulfilled < puts.length) partly++
          // Only the put at which it failed, unless it goes on failing.
          if (!forever) expect(fulfilled, `${errno} at ${n}`).toBeGreaterThanOrEqual(puts.length - 1)
          const after = await ActivationStore.open(root, { producer: 'test', fs: unsynced })
          for (const [at, end] of ended.entries()) {
            const { data } = (await after.read(idOf(puts[at]))) ?? { data: null }
            if (end.status === 'fulfilled') expect(data, `${errno} at ${n}`).not.toBeNull()
            else expect(allowed).toContain((end.reason as PatchbayError).code)
            if (data !== null && puts[at].dtype === 'float32') expect(data).toEqual(puts[at].data)
          }
          await after.gc()
          expect((await after.verify()).damaged).toEqual([])
          await after.close()
          expect(temporaryFiles(root)).toEqual([])
        }
    expect(partly).toBeGreaterThan(0)
  }, 240_000)

  it('reads from a disk that may only be read', async () => {
    const root = scratch()
    await (await openStore(root)).put([first], { set: 'one' })
    const erofs = () => Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' }))
    const fs: StoreFs = { ...realFs, open: erofs, rename: erofs, mkdir: erofs, utimes: erofs, rm: erofs }
    const store = await openStore(root, { fs })
    expect((await store.read(idOf(first)))?.data).toEqual(first.data)
    await expect(store.put([second], { set: 'two' })).rejects.toMatchObject({ code: 'disk.failed' })
  })
})
