/** Power cuts: at every step of the file system only what was synced is left, and that has to be enough. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ActivationStore } from '../../main/cache/store/store'
import { idOf, item, row, scratch, unsynced } from '../cache/store/fixtures'
import { PowerCut } from './support/power-cut'
import { thorough } from './support/thorough'

const items = Array.from({ length: 6 }, (_, i) => item(row(i + 1, 7), 'hook_embed'))
type Told = (what: string) => void

/** What a process does, telling of what was reported to it. */
const actions: Record<string, (root: string, power: PowerCut, told: Told) => Promise<void>> = {
  'several puts at once': async (root, { fs }, told) => {
    const store = await ActivationStore.open(root, { producer: 'test', fs })
    await Promise.all(
      items.map((each, i) => store.put([each], { set: `set-${i % 2}` }).then(() => told(`${i} stored`))),
    )
    await store.close()
  },
  'gc that joins shards': async (root, { fs }, told) => {
    const store = await ActivationStore.open(root, { producer: 'test', fs })
    for (const [i, each] of items.slice(0, 3).entries()) {
      await store.put([each], { set: 'one' })
      told(`${i} stored`)
    }
    await store.gc()
    await store.close()
  },
  'removing a part of a shard': async (root, { fs }, told) => {
    const store = await ActivationStore.open(root, { producer: 'test', fs })
    await store.put(items.slice(0, 2), { set: 'one' })
    told('0 stored')
    told('1 stored')
    told('1 going')
    await store.remove({ row: items[1].row })
    await store.close()
  },
  'a label': async (root, { fs }, told) => {
    const store = await ActivationStore.open(root, { producer: 'test', fs })
    await store.put([items[0]], { set: 'one' })
    told('0 stored')
    await store.label('one', { pinned: true })
    told('pinned')
    await store.label('one', { name: 'first' })
    await store.close()
  },
  // Two processes: the one dies between the shard's rename and what would make it last; the other finds the shard.
  'a put of what another process had not finished storing': async (root, { fs }, told) => {
    let synced = 0
    const dies = { ...fs, open: fs.open.bind(fs) }
    dies.open = async (file, flags) => {
      if (flags === 'r' && path.basename(file) === 'shards') {
        synced++
        throw Object.assign(new Error('It died.'), { code: 'EIO' })
      }
      return fs.open(file, flags)
    }
    const dead = await ActivationStore.open(root, { producer: 'test', fs: dies })
    await expect(dead.put([items[0]], { set: 'one' })).rejects.toMatchObject({ code: 'disk.failed' })
    expect(synced).toBe(1)
    const store = await ActivationStore.open(root, { producer: 'test', fs })
    expect(await store.put([items[0]], { set: 'one' })).toMatchObject({ present: 1 })
    told('0 stored')
    await store.close()
    await dead.close()
  },
}

describe('a power cut at any step', () => {
  for (const [name, action] of Object.entries(actions))
    it(`of ${name} loses nothing that was reported`, async () => {
      const folder = scratch()
      const power = new PowerCut(folder)
      const reported = new Set<string>()
      const cuts: { at: string; reported: ReadonlySet<string> }[] = []
      const cut = (): void => {
        const at = path.join(scratched, `cut-${cuts.length}`)
        power.leaveIn(at)
        cuts.push({ at, reported: new Set(reported) })
      }
      const scratched = scratch()
      let steps = 0
      power.onStep = () => {
        if (thorough || steps++ % 3 === 0) cut()
      }
      await action(path.join(folder, 'store'), power, (what) => {
        reported.add(what)
        cut()
      })
      expect(cuts.length).toBeGreaterThan(10)
      for (const [n, { at, reported: before }] of cuts.entries()) {
        const root = path.join(at, 'store')
        // A lock that is left empty is taken over after two seconds (see the kills): not waited for each time.
        rmSync(path.join(root, 'writer.lock'), { force: true })
        const store = await ActivationStore.open(root, { producer: 'test', fs: unsynced })
        for (const [i, each] of items.entries()) {
          const read = await store.read(idOf(each))
          if (read !== null) expect(read.data).toEqual(each.data)
          if (before.has(`${i} stored`) && !before.has(`${i} going`))
            expect(read, `${i} after ${n} of ${cuts.length} cuts`).not.toBeNull()
        }
        if (before.has('pinned'))
          expect((await store.list()).map(({ label }) => label.pinned)).toEqual([true])
        expect((await store.verify()).damaged).toEqual([])
        await store.put([item(row(99), 'later')], { set: 'later' })
        await store.close()
      }
    }, 120_000)
})

it('knows what a cut leaves: a file that was renamed, but whose folder was not synced, is gone', async () => {
  const folder = scratch()
  const power = new PowerCut(folder)
  const { fs } = power
  const handle = await fs.open(path.join(folder, 'a'), 'wx')
  await handle.write(Buffer.from('one'), 0, 3, 0)
  await handle.sync()
  await handle.close()
  await fs.rename(path.join(folder, 'a'), path.join(folder, 'b'))
  const left = path.join(scratch(), 'left')
  power.leaveIn(left)
  expect(readdirSync(left)).toEqual([])
  const above = await fs.open(folder, 'r')
  await above.sync()
  await above.close()
  const later = path.join(scratch(), 'later')
  power.leaveIn(later)
  expect(readFileSync(path.join(later, 'b'), 'utf8')).toBe('one')
  expect(existsSync(path.join(later, 'a'))).toBe(false)
})
