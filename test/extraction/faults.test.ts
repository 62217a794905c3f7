/** What goes wrong on the way: full disks, too little memory, values that are no numbers, damaged streams, kills. */
import { open, readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ExtractionModel } from '../../main/extraction/subject'
import type { ActivationStore } from '../../main/cache/store/store'
import type { ForwardRequest } from '../../main/runtime'
import { PatchbayError } from '../../preload/errors'
import { begin, openLlama, relativeTo, someRows, whileComputing, type Begun } from './support'

const hooks = ['blocks.*.hook_resid_post', 'blocks.0.attn.hook_z']
const asked = [{ hooks, dtype: 'float32' as const }]
const distinct = new Set(someRows.map(({ tokens }) => tokens.join())).size

/** The model with something in front of its runs. */
function before(model: ExtractionModel, look: (request: ForwardRequest) => void): ExtractionModel {
  const { runnable } = model
  const forward = runnable.forward.bind(runnable)
  runnable.forward = (request) => {
    look(request)
    return forward(request)
  }
  return model
}

const rowsIn = ({ start }: ForwardRequest): number =>
  start.kind === 'tokens' ? start.rows.length : start.lengths.length

/** Every value of one collection is that of another. */
async function expectSame(a: Begun, b: Begun): Promise<void> {
  for (const { name } of a.plan.outputs)
    for (const row of someRows.keys()) {
      const [x, y] = [await a.writer.collection.read(row, name), await b.writer.collection.read(row, name)]
      expect([name, row, x?.shape]).toEqual([name, row, y?.shape])
      expect(relativeTo(y?.data ?? new Float32Array(1), x?.data ?? new Float32Array())).toBeLessThanOrEqual(
        2e-6,
      )
    }
}

const modes = ['row-major', 'layer-major'] as const
describe.each(modes)('%s', (mode) => {
  it('takes smaller batches where memory is short, and lists only rows that do not fit alone', async () => {
    const scarce = before(await openLlama(), (request) => {
      const { start } = request
      const long = start.kind === 'tokens' && start.rows.some((row) => row.join() === '11,12,13')
      if (rowsIn(request) > 2 || long)
        throw new PatchbayError('memory.exhausted', 'There is not enough memory.')
    })
    const begun = await begin(scarce, someRows, asked)
    expect(await begun.run({ mode })).toMatchObject({ state: 'done', failures: 1 })
    const { failures, complete } = await begun.place.collections.describe(begun.writer.id)
    expect([complete, failures.map(({ row, error }) => [row, error.code])]).toEqual([
      true,
      [[4, 'memory.exhausted']],
    ])
    for (const row of someRows.keys())
      expect((await begun.writer.collection.missing(await begun.writer.collection.row(row))).length).toBe(
        row === 4 ? 3 : 0,
      )
  })

  it('stops where the disk is full, keeps what is stored, and goes on from there', async () => {
    const begun = await begin(await openLlama(), someRows, asked)
    const { store } = begun.place
    let puts = 0
    const full: Pick<ActivationStore, 'put'> = {
      put: (...args) =>
        ++puts > 1
          ? Promise.reject(new PatchbayError('disk.full', 'The disk is full.', { next: 'Free some space.' }))
          : store.put(...args),
    }
    const limited = new Proxy(store, {
      get: (target, name) => {
        if (name === 'put') return full.put
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    await expect(begun.run({ mode, store: limited, tokens: 10, together: 1 })).rejects.toMatchObject({
      code: 'disk.full',
      next: expect.stringContaining('resume the job') as string,
    })
    const stored = store.statistics().entries
    expect(stored).toBeGreaterThan(0)
    expect(stored).toBeLessThan(3 * distinct)
    expect((await begun.run({ mode, tokens: 10 })).state).toBe('done')
    const whole = await begin(await openLlama(), someRows, asked)
    await whole.run()
    await expectSame(begun, whole)
  })

  it('stores values that are no numbers, and says which rows have them', async () => {
    const model = await openLlama()
    const { runnable } = model
    const forward = runnable.forward.bind(runnable)
    runnable.forward = (request) => {
      const { onCapture, start } = request
      if (onCapture === undefined || start.kind !== 'tokens') return forward(request)
      const at = start.rows.findIndex((row) => row.join() === '77')
      return forward({
        ...request,
        onCapture: (name, tensor) => {
          const size = tensor.data.length / start.rows.length
          if (at !== -1) tensor.data[at * size] = NaN
          return onCapture(name, tensor)
        },
      })
    }
    const begun = await begin(model, someRows, [{ hooks: ['hook_embed'] }])
    const { store } = begun.place
    const put = store.put.bind(store)
    const known: (number | undefined)[] = []
    store.put = async (...args) => {
      // Whoever goes on when this process dies now finds the values, and does not look at them again.
      const { failures } = JSON.parse(
        await readFile(path.join(begun.place.root, 'job/failures.json'), 'utf8'),
      ) as {
        failures: { row: number }[]
      }
      known.push(failures.at(0)?.row)
      return put(...args)
    }
    expect(await begun.run({ mode })).toMatchObject({ state: 'done', failures: 1 })
    expect(known).toEqual([2])
    const { failures } = await begun.place.collections.describe(begun.writer.id)
    expect(failures).toMatchObject([{ row: 2, error: { code: 'run.failed' } }])
    expect(failures[0].error.message).toContain('hook_embed')
    expect((await begun.writer.collection.read(2, 'hook_embed'))?.data[0]).toBeNaN()
    expect((await begun.writer.collection.read(1, 'hook_embed'))?.data.every(Number.isFinite)).toBe(true)
  })

  it('is cancelled between batches, without losing what was stored', async () => {
    const begun = await begin(await openLlama(), someRows, asked)
    const controller = new AbortController()
    const stopped = begun.run({
      mode,
      tokens: 10,
      signal: controller.signal,
      onProgress: whileComputing(() =>
        controller.abort(new PatchbayError('run.cancelled', 'The job was cancelled.')),
      ),
    })
    await expect(stopped).rejects.toMatchObject({ code: 'run.cancelled' })
    expect((await begun.run({ mode })).state).toBe('done')
  })
})

describe('residual streams on disk', () => {
  /** Stops behind some steps, as a kill would, and gives the folder of the streams. */
  async function stopped(steps: number): Promise<Begun & { folder: string }> {
    const begun = await begin(await openLlama(), someRows, asked)
    const pause = new AbortController()
    let done = 0
    const onProgress = whileComputing(() => void (++done >= steps && pause.abort()))
    expect(
      (await begun.run({ mode: 'layer-major', tokens: 10, pause: pause.signal, onProgress })).state,
    ).toBe('paused')
    return { ...begun, folder: path.join(begun.place.root, 'job') }
  }

  it('are gone on from, and removed at the end', async () => {
    // Five parts: embedded, through block 0, and two of them through block 1.
    const begun = await stopped(12)
    const starts: (number | 'tokens')[] = []
    before(begun.model, ({ start }) => void starts.push(start.kind === 'tokens' ? 'tokens' : start.layer))
    await begun.run({ mode: 'layer-major', tokens: 10 })
    expect(starts[0]).toBe(1)
    expect(starts.filter((start) => start === 'tokens')).toEqual([])
    expect((await readdir(begun.folder)).filter((name) => name.startsWith('stream'))).toEqual([])
    const whole = await begin(await openLlama(), someRows, asked)
    await whole.run()
    await expectSame(begun, whole)
  })

  it.each([0, 5, 200, 1000])('are made again where byte %i of them is not what was written', async (at) => {
    const begun = await stopped(9)
    for (const name of (await readdir(begun.folder)).filter((each) => each.startsWith('stream'))) {
      const file = await open(path.join(begun.folder, name), 'r+')
      const byte = Buffer.alloc(1)
      const { bytesRead } = await file.read(byte, 0, 1, at)
      if (bytesRead === 1) await file.write(Buffer.of(byte[0] ^ 0x41), 0, 1, at)
      await file.close()
    }
    expect((await begun.run({ mode: 'layer-major', tokens: 10 })).state).toBe('done')
    const whole = await begin(await openLlama(), someRows, asked)
    await whole.run()
    await expectSame(begun, whole)
  })
})
