/**
 * A process that works on a store until it is killed: by itself in the middle of its n-th file operation, or from outside.
 * What is done is said on stdout the moment that the store has reported it, so the parent knows what must be there.
 */
import { writeSync } from 'node:fs'
import type { WritableHandle } from '../../../main/files/durable-file'
import { realFs, type StoreFs } from '../../../main/cache/store/store-fs'
import { ActivationStore } from '../../../main/cache/store/store'
import { childItems } from './store-items'

const [root, script, round, killAt] = process.argv.slice(2)

let operations = 0

/** Ends this process before its n-th operation; a write is done by half first. */
async function step<T>(work: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
  if (++operations === Number(killAt)) {
    await half?.()
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => undefined)
  }
  return work()
}

const handleOf = (handle: WritableHandle): WritableHandle => ({
  write: (buffer, offset, length, position) =>
    step(
      () => handle.write(buffer, offset, length, position),
      () => handle.write(buffer, offset, length >> 1, position),
    ),
  sync: () => step(() => handle.sync()),
  close: () => step(() => handle.close()),
})

const fs: StoreFs = {
  ...realFs,
  open: (file, flags) => step(async () => handleOf(await realFs.open(file, flags))),
  rename: (from, to) => step(() => realFs.rename(from, to)),
  rm: (file, options) => step(() => realFs.rm(file, options)),
  mkdir: (folder, options) => step(() => realFs.mkdir(folder, options)),
  utimes: (file, accessed, modified) => step(() => realFs.utimes(file, accessed, modified)),
}

const say = (text: string): void => {
  writeSync(1, `${text}\n`)
}

const store = await ActivationStore.open(root, { producer: 'child', fs })
const put = async (part: string): Promise<void> => {
  const set = `${round}-${part}`
  say(`putting ${set}`)
  await store.put(childItems(set), { set })
  say(`stored ${set}`)
}
const remove = async (part: string): Promise<void> => {
  const set = `${round}-${part}`
  say(`removing ${set}`)
  await store.remove({ set })
  say(`removed ${set}`)
}
switch (script) {
  case 'put':
    await put('a')
    break
  case 'puts':
    await Promise.all(['a', 'b', 'c', 'd'].map(put))
    break
  case 'label':
    await store.label(`${round}-a`, { pinned: true, note: 'weeks of work' })
    break
  case 'evict':
    // Room for one more shard than there is: what was used longest ago goes.
    say(`removing ${round}-a`)
    await store.gc({ quota: store.statistics().bytes + 1000 })
    await put('b')
    break
  case 'gc':
    await store.gc()
    break
  case 'remove':
    await remove('a')
    break
  default:
    for (let i = 0; ; i++) {
      // Several under way at once, as an extraction has them.
      await Promise.all(['x', 'y', 'z'].slice(0, 1 + (i % 3)).map((part) => put(`${i}${part}`)))
      if (i % 3 === 2) await remove(`${i - 1}x`)
      if (i % 4 === 3) await store.gc()
    }
}
say(`operations ${operations}`)
