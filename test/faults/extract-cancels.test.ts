/** Extractions that are cancelled at any of their steps, a hundred times, and then finished. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { PatchbayError } from '../../preload/errors'
import { begin, openLlama, relativeTo, someRows } from '../extraction/support'
import { temporaryFiles } from './support/temporary-files'
import { thorough } from './support/thorough'

const TIMES = thorough ? 100 : 12
const hook = 'blocks.0.attn.hook_z'

it.each(['row-major', 'layer-major'] as const)(
  '%s: cancelled again and again it leaves no temporary file, and what it ends with is whole',
  async (mode) => {
    const begun = await begin(await openLlama(), someRows, [{ hooks: [hook], dtype: 'float32' }])
    const { store, root } = begun.place
    const { runnable } = begun.model
    let cancelled = 0
    for (let n = 0; n < TIMES; n++) {
      const controller = new AbortController()
      const cancel = (): void =>
        controller.abort(new PatchbayError('run.cancelled', 'The extraction was cancelled.'))
      const put = store.put.bind(store)
      const forward = runnable.forward.bind(runnable)
      let steps = 0
      const step = (): void => void (steps++ === Math.floor(n / 3) % 6 && cancel())
      // In turn: before a run, before a put, and after one that is cancelled while it waits for its turn.
      if (n % 3 === 0)
        runnable.forward = (request) => {
          step()
          return forward(request)
        }
      if (n % 3 === 1)
        store.put = (...args) => {
          step()
          return put(...args)
        }
      if (n % 3 === 2)
        store.put = (...args) => {
          const putting = put(...args)
          step()
          return putting
        }
      try {
        await begun.run({ mode, tokens: 10, together: 1, signal: controller.signal })
      } catch (error) {
        expect(error).toMatchObject({ code: 'run.cancelled' })
        cancelled++
      }
      store.put = put
      runnable.forward = forward
      expect(temporaryFiles(root)).toEqual([])
      // What was stored before stays; begin anew now and then, so that there is something to cancel.
      if ((await begun.writer.collection.missing(await begun.writer.collection.row(0))).length === 0)
        await store.remove({ output: hook })
    }
    expect(cancelled).toBeGreaterThan(TIMES / 3)
    expect((await begun.run({ mode })).state).toBe('done')
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    expect(files.filter((name) => path.basename(name).startsWith('stream'))).toEqual([])
    const whole = await begin(await openLlama(), someRows, [{ hooks: [hook], dtype: 'float32' }])
    await whole.run()
    for (const row of someRows.keys()) {
      const [x, y] = [
        await begun.writer.collection.read(row, hook),
        await whole.writer.collection.read(row, hook),
      ]
      if (x === null || y === null) throw new Error(`Row ${row} has no values.`)
      expect(relativeTo(y.data, x.data)).toBeLessThanOrEqual(2e-6)
    }
    expect((await store.verify()).damaged).toEqual([])
  },
  300_000,
)
