/**
 * Processes killed while they write to a store: at the steps of each operation, and at random times. `npm run test:faults`
 * takes every step and 1,000 random times, `npm test` some of them.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ActivationStore } from '../../main/cache/store/store'
import { bundled, type Program } from './support/children'
import { childItems } from './support/store-items'
import { temporaryFiles } from './support/temporary-files'
import { thorough } from './support/thorough'

const KILLS = thorough ? 1000 : 5
/** Of the steps of an operation, each one or each seventh. */
const STRIDE = thorough ? 1 : 7
/** Processes that work on one store after the other, and stores that are worked on at the same time. */
const TOGETHER = 20
const LANES = 2

let program: Program
let root = ''

beforeAll(async () => {
  program = await bundled('test/faults/support/store-child.ts')
  root = mkdtempSync(path.join(os.tmpdir(), 'patchbay-kills-'))
}, 60_000)
afterAll(async () => {
  await program.remove()
  rmSync(root, { recursive: true, force: true })
})

/** Sets by what the child said of them. */
class Said {
  readonly stored = new Set<string>()
  /** Put, but not reported: there whole, or not at all. */
  readonly open = new Set<string>()
  /** Being removed, entry by entry. */
  readonly going = new Set<string>()
  readonly removed = new Set<string>()

  take(lines: readonly string[]): void {
    for (const line of lines) {
      const [word, set] = line.split(' ')
      for (const sets of [this.stored, this.open, this.going, this.removed]) sets.delete(set)
      if (word === 'putting') this.open.add(set)
      if (word === 'stored') this.stored.add(set)
      if (word === 'removing') this.going.add(set)
      if (word === 'removed') this.removed.add(set)
    }
  }
}

/** Reads every set that was ever spoken of, in a process that knows nothing of the child's. */
async function check(folder: string, said: Said): Promise<void> {
  const store = await ActivationStore.open(folder, { producer: 'parent' })
  try {
    for (const [sets, allowed] of [
      [said.stored, [2]],
      [said.open, [0, 2]],
      [said.going, [0, 1, 2]],
      [said.removed, [0]],
    ] as const)
      for (const set of sets) {
        let whole = 0
        for (const { row, output, dtype, data } of childItems(set)) {
          const read = await store.read({ row, output, dtype })
          if (read === null) continue
          expect(read.data).toEqual(data)
          whole++
        }
        expect(allowed, `${set} of ${[...said.stored].join()}`).toContain(whole)
      }
    expect((await store.verify()).damaged).toEqual([])
    expect(store.statistics().damaged).toBe(0)
  } finally {
    await store.close()
  }
}

/** Nothing stays of those that were killed, and the index says what the shards say. */
async function checkAfterGc(folder: string, said: Said): Promise<void> {
  const store = await ActivationStore.open(folder, { producer: 'parent' })
  await store.gc()
  const { entries } = store.statistics()
  await store.close()
  expect(temporaryFiles(folder)).toEqual([])
  expect(existsSync(path.join(folder, 'index', 'entries.table'))).toBe(true)
  await check(folder, said)
  rmSync(path.join(folder, 'index'), { recursive: true })
  const rebuilt = await ActivationStore.open(folder, { producer: 'parent' })
  expect(rebuilt.statistics().entries).toBe(entries)
  await rebuilt.close()
  await check(folder, said)
}

describe('a process killed at each of its steps', () => {
  /** Puts a set as two shards, which gc will join. */
  const prepare = async (folder: string): Promise<void> => {
    const store = await ActivationStore.open(folder, { producer: 'parent' })
    for (const item of childItems('r-a')) await store.put([item], { set: 'r-a' })
    await store.close()
  }

  for (const [script, stored] of [
    ['put', false],
    ['puts', false],
    ['gc', true],
    ['label', true],
    ['remove', true],
    ['evict', true],
  ] as const)
    it(`of ${script} leaves every entry whole or absent, and the next one goes on`, async () => {
      const folderOf = (name: string): string => path.join(root, `${script}-${name}`)
      if (stored) await prepare(folderOf('whole'))
      const { lines } = await program.run([folderOf('whole'), script, 'r', '0'])
      const steps = Number(lines.at(-1)?.split(' ')[1])
      expect(steps).toBeGreaterThan(4)
      for (let n = 1; n <= steps; n += STRIDE) {
        const folder = folderOf(String(n))
        const said = new Said()
        if (stored) {
          await prepare(folder)
          said.take(['stored r-a'])
        }
        const killed = await program.run([folder, script, 'r', String(n)])
        expect(killed.signal, `${n}: ${killed.errors}`).toBe('SIGKILL')
        said.take(killed.lines)
        await check(folder, said)
        const next = await ActivationStore.open(folder, { producer: 'parent' })
        await next.put(childItems('next'), { set: 'next' })
        await next.close()
        said.take(['stored next'])
        await check(folder, said)
        await checkAfterGc(folder, said)
        rmSync(folder, { recursive: true })
      }
    }, 600_000)
})

it(`${KILLS} processes killed at random times or steps lose nothing that was reported stored`, async () => {
  let seed = 12345
  let stored = 0
  const random = (below: number): number => {
    seed = (seed * 48271) % 2147483647
    return seed % below
  }
  // Some processes one after the other work on the same store; all that it ever held is read after each.
  const several = async (first: number): Promise<void> => {
    const folder = path.join(root, `random-${first}`)
    const said = new Said()
    for (let n = first; n < Math.min(KILLS, first + TOGETHER); n++) {
      const [step, time] = n % 2 === 0 ? [1 + random(150), undefined] : [0, random(120)]
      const { lines, signal, errors } = await program.run([folder, 'loop', `r${n}`, `${step}`], time)
      expect(signal, errors).toBe('SIGKILL')
      said.take(lines)
      await check(folder, said)
    }
    await checkAfterGc(folder, said)
    stored += said.stored.size
    rmSync(folder, { recursive: true, force: true })
  }
  let next = 0
  const lane = async (): Promise<void> => {
    for (; next < KILLS;) await several((next += TOGETHER) - TOGETHER)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  expect(stored).toBeGreaterThan(KILLS)
}, 3_600_000)

it('several processes that write at once, each killed at some time, lose nothing either', async () => {
  const folder = path.join(root, 'together')
  const said = new Said()
  for (let n = 0; n < (thorough ? 50 : 2); n++) {
    const ended = await Promise.all(
      [0, 1, 2].map((child) =>
        program.run([folder, 'loop', `c${n}-${child}`, '0'], 80 + 90 * child + ((n * 37) % 60)),
      ),
    )
    for (const { lines, signal, errors } of ended) {
      expect(signal, errors).toBe('SIGKILL')
      said.take(lines)
    }
    await check(folder, said)
  }
  expect(said.stored.size).toBeGreaterThan(0)
}, 600_000)
