/** What a run looks up before it computes and behind it: by many rows, told of, and able to be cancelled. */
import { describe, expect, it } from 'vitest'
import type { ActivationStore } from '../../main/cache/store/store'
import type { ExtractionProgress } from '../../main/extraction/run'
import { SizeSum } from '../../main/extraction/size'
import { PatchbayError } from '../../preload/errors'
import { begin, openLlama, planOf, someRows } from './support'

const asked = [{ hooks: ['blocks.*.hook_resid_post'], dtype: 'float16' as const }]
const distinct = new Set(someRows.map(({ tokens }) => tokens.join())).size
const LOOKING = 'Looking for what is stored already'
const CHECKING = 'Checking what is stored'

/** How often the store is asked. */
function counting(store: ActivationStore): { has: number; find: number } {
  const calls = { has: 0, find: 0 }
  const { has, find } = { has: store.has.bind(store), find: store.find.bind(store) }
  store.has = (...args) => (calls.has++, has(...args))
  store.find = (...args) => (calls.find++, find(...args))
  return calls
}

describe('the look-ups of a run', () => {
  it('are one for all rows, and of equal rows one value each', async () => {
    const { run, place, plan } = await begin(await openLlama(), someRows, asked)
    const calls = counting(place.store)
    await run()
    // Before and behind; then the errors.
    expect(calls).toEqual({ has: 2, find: distinct * plan.outputs.length })
  })

  it('are told of before the first row, and until the last is checked', async () => {
    const { run } = await begin(await openLlama(), someRows, asked)
    const seen: ExtractionProgress[] = []
    await run({ onProgress: (progress) => void seen.push(progress) })
    const { length } = someRows
    expect(seen[0]).toMatchObject({ what: LOOKING, done: length, total: length })
    expect(seen.filter(({ what }) => what === CHECKING).map(({ done }) => done)).toEqual([length, 0, length])
    expect(seen.at(-1)?.tokensPerSecond).toBeGreaterThan(0)
  })

  it('are cancelled while what is stored is checked, and nothing is computed again then', async () => {
    const { run, place, writer } = await begin(await openLlama(), someRows, asked)
    const controller = new AbortController()
    const stopped = run({
      signal: controller.signal,
      onProgress: ({ what, done }) => {
        if (what === CHECKING && done === 0)
          controller.abort(new PatchbayError('run.cancelled', 'The job was cancelled.'))
      },
    })
    await expect(stopped).rejects.toMatchObject({ code: 'run.cancelled' })
    expect((await place.collections.describe(writer.id)).complete).toBe(false)
    expect(await run()).toMatchObject({ state: 'done', tokens: 0 })
    expect((await place.collections.describe(writer.id)).complete).toBe(true)
  })

  it('find what storing lost, the largest of all rows', async () => {
    const { run, place, plan, writer } = await begin(await openLlama(), someRows, asked)
    await run()
    const { outputs } = await place.collections.describe(writer.id)
    expect(outputs).toHaveLength(plan.outputs.length)
    for (const { name, error } of outputs) {
      let largest = 0
      for (const row of someRows.keys())
        largest = Math.max(largest, (await writer.collection.read(row, name))?.error.relative ?? NaN)
      expect(largest).toBeGreaterThan(0)
      expect(error).toBe(largest)
    }
  })
})

it('counts equal rows once, in whatever portions they come', async () => {
  const model = await openLlama()
  const { writer } = await begin(model, someRows, asked)
  const plan = await planOf(model, asked)
  const rows = []
  for await (const row of writer.collection.rows()) rows.push(row)
  const whole = new SizeSum(plan, new Map(), null)
  const missing = await whole.add(rows)
  const single = new SizeSum(plan, new Map(), null)
  for (const [i, row] of rows.entries()) expect(await single.add([row])).toEqual([missing[i]])
  expect(single.bytes).toBe(whole.bytes)
  const once = new SizeSum(plan, new Map(), null)
  await once.add([...new Map(rows.map((row) => [row.key, row])).values()])
  expect(once.bytes).toBe(whole.bytes)
})
