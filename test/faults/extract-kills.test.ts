/**
 * Extractions whose process is killed at steps of the file system (of the job's record, the collection, the streams between
 * blocks, the store) and resumed in another. `npm run test:faults` takes every step, `npm test` some of each kind.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ActivationStore } from '../../main/cache/store/store'
import { Collections } from '../../main/collections/collections'
import { setOf } from '../../main/collections/names'
import { JobStore } from '../../main/jobs/store'
import { unsynced } from '../cache/store/fixtures'
import { relativeTo } from '../extraction/support'
import { bundled, type Program } from './support/children'
import { temporaryFiles } from './support/temporary-files'
import { thorough } from './support/thorough'

const modes = ['row-major', 'layer-major'] as const
type Mode = (typeof modes)[number]

/** The third row can not be used; the last has the tokens of the first. */
const texts = [
  'The cat sat on the mat.',
  'Anna gave the ball to Tom. Tom thanked Anna.',
  '',
  'A dog runs home.',
  'The cat sat on the mat.',
]

let program: Program
let root = ''
const operations = {} as Record<Mode, string[]>

beforeAll(async () => {
  program = await bundled('test/faults/support/extract-child.ts', true)
  root = mkdtempSync(path.join(os.tmpdir(), 'patchbay-extract-kills-'))
  writeFileSync(path.join(root, 'rows.jsonl'), texts.map((text) => `${JSON.stringify({ text })}\n`).join(''))
  await Promise.all(
    modes.map(async (mode) => {
      const log = path.join(root, `${mode}.log`)
      expect(await patchbay(whole(mode), extract(mode), { OPERATIONS: log })).toBeNull()
      operations[mode] = readFileSync(log, 'utf8').trimEnd().split('\n')
    }),
  )
}, 120_000)
afterAll(async () => {
  await program.remove()
  rmSync(root, { recursive: true, force: true })
})

const extract = (mode: Mode): string[] => {
  const output = ['--hooks', 'blocks.*.hook_resid_post', '--dtype', 'float32', '--mode', mode]
  return ['extract', path.join(root, 'rows.jsonl'), '--column', 'text', '-m', 'storyworld', ...output]
}

/** Where an extraction was not disturbed. */
const whole = (mode: Mode): string => path.join(root, `whole-${mode}`)

/** Runs the command line on folders of its own. @returns the signal that ended it */
async function patchbay(
  folder: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<string | null> {
  mkdirSync(folder, { recursive: true })
  const { signal, lines, errors } = await program.run(args, undefined, {
    PATCHBAY_DATA: path.join(folder, 'data'),
    PATCHBAY_CACHE: path.join(folder, 'cache'),
    ...environment,
  })
  if (signal === null) expect(lines.join('\n'), errors).toMatch(/ {2}done {2}/)
  return signal
}

/** Begins an extraction, or goes on with the one that is there. */
async function goOn(folder: string, mode: Mode, killAt = ''): Promise<string | null> {
  const jobs = new JobStore(path.join(folder, 'data', 'jobs'))
  const { jobs: known, unreadable } = await jobs.list()
  // A process that dies before the record is there has begun nothing.
  for (const { error } of unreadable) expect(error.code).toBe('file.missing')
  expect(known.length).toBeLessThanOrEqual(1)
  if (known.length === 1 && known[0].state === 'done') return null
  const args = known.length === 0 ? extract(mode) : ['job', 'resume', known[0].id]
  return patchbay(folder, args, { KILL_AT: killAt })
}

interface Opened {
  store: ActivationStore
  collections: Collections
  /** The folder of the one collection. */
  folder: string
  id: string
  close(): Promise<void>
}

async function open(folder: string): Promise<Opened> {
  const data = path.join(folder, 'data')
  const store = await ActivationStore.open(path.join(data, 'activations'), { producer: 'test', fs: unsynced })
  const place = path.join(data, 'collections')
  const collections = new Collections({ folder: place, store: () => Promise.resolve(store) })
  const listed = await collections.list()
  expect(listed).toMatchObject([{ name: 'rows.jsonl', rows: 4, complete: true }])
  // Nothing half-made beside it.
  expect(readdirSync(place)).toEqual([listed[0].id])
  const close = async (): Promise<void> => {
    await collections.close()
    await store.close()
  }
  return { store, collections, folder: path.join(place, listed[0].id), id: listed[0].id, close }
}

/** Holds what an extraction left against one that was not disturbed. */
async function expectWhole(folder: string, mode: Mode): Promise<void> {
  const [ours, theirs] = [await open(folder), await open(whole(mode))]
  try {
    for (const file of ['rows.jsonl', 'tokens.jsonl', 'label.json'])
      expect(readFileSync(path.join(ours.folder, file), 'utf8'), file).toBe(
        readFileSync(path.join(theirs.folder, file), 'utf8'),
      )
    const [mine, reference] = [
      await ours.collections.describe(ours.id),
      await theirs.collections.describe(theirs.id),
    ]
    expect(mine.failures.map(({ row }) => row)).toEqual([2])
    expect(mine.failures).toEqual(reference.failures)
    expect(mine.outputs).toEqual(reference.outputs)
    await ours.collections.use(ours.id, (a) =>
      theirs.collections.use(theirs.id, async (b) => {
        for (let row = 0; row < b.length; row++) {
          expect(await a.missing(await a.row(row))).toEqual([])
          for (const name of b.outputs.keys()) {
            const [x, y] = [await a.read(row, name), await b.read(row, name)]
            if (x === null || y === null) throw new Error(`Row ${row} has no ${name}.`)
            expect(x.shape).toEqual(y.shape)
            // The batches are others.
            expect(relativeTo(y.data, x.data)).toBeLessThanOrEqual(5e-6)
          }
        }
      }),
    )
    const entries: string[] = []
    for await (const { row, output } of ours.store.entries(setOf(ours.id))) entries.push(`${row} ${output}`)
    // Three rows are different, each is there once at each of the four layers.
    expect([entries.length, new Set(entries).size]).toEqual([12, 12])
    expect((await ours.store.verify()).damaged).toEqual([])
    await ours.store.gc()
    expect(temporaryFiles(path.join(folder, 'data'))).toEqual([])
    expect((await ours.store.list()).map(({ label }) => label.name)).toEqual(['rows.jsonl'])
    expect(readdirSync(path.join(folder, 'data', 'activations', 'shards'))).toHaveLength(1)
  } finally {
    await ours.close()
    await theirs.close()
  }
}

/**
 * One extraction, killed at one step after the other, each time in another process, and then finished.
 * @returns how many times it was killed before it was done
 */
async function killed(name: string, mode: Mode, steps: readonly string[]): Promise<number> {
  const folder = path.join(root, name)
  let kills = 0
  for (const at of steps) if ((await goOn(folder, mode, at)) === 'SIGKILL') kills++
  expect(await goOn(folder, mode)).toBeNull()
  await expectWhole(folder, mode)
  rmSync(folder, { recursive: true, force: true })
  return kills
}

/** Steps of one kind each, in the order in which an extraction comes to them. */
const some: Record<Mode, string[]> = {
  'row-major': ['1 of ^write .*rows', '1 of ^write .*safetensors', '1 of ^rename collections.*collection'],
  'layer-major': ['1 of ^write .*stream-3', '2 of ^rename .*safetensors', '3 of ^rename jobs.*job'],
}

describe('an extraction that is killed and resumed in another process', () => {
  it.each(modes)(
    '%s: has every value once, and the failures, as one that was not',
    async (mode) => {
      expect(await killed(`some-${mode}`, mode, some[mode])).toBe(some[mode].length)
    },
    120_000,
  )

  it.runIf(thorough).each(modes)(
    '%s: the same at every step',
    async (mode) => {
      const steps = operations[mode].length
      expect(steps).toBeGreaterThan(70)
      let kills = 0
      for (let n = 1; n <= steps; n++) kills += await killed(`${mode}-${n}`, mode, [String(n)])
      // A record of progress is written where a run takes long, so that the next may have some steps fewer.
      expect(kills).toBeGreaterThanOrEqual(steps - 10)
    },
    3_600_000,
  )
})
