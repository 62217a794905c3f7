/** Both ways of running an extraction give what runs of one row at a time give. */
import { describe, expect, it } from 'vitest'
import { executeRun } from '../../main/runtime'
import { hookPointsOf } from '../../main/models/hook-points'
import { hookName } from '../../preload/hooks'
import { runInput } from '../../preload/run'
import { begin, openLlama, relativeTo, someRows, whileComputing } from './support'

const modes = ['row-major', 'layer-major'] as const

describe.each(modes)('%s', (mode) => {
  it('gives the values of single runs at every hook point, without padding', async () => {
    const model = await openLlama()
    const hooks = hookPointsOf(model.stack.spec).map(hookName)
    const { writer, run } = await begin(model, someRows, [{ hooks, dtype: 'float32' }])
    expect(await run({ mode })).toMatchObject({ state: 'done' })
    for (const [row, { tokens }] of someRows.entries()) {
      const { captures } = await executeRun(
        model.stack,
        runInput.parse({ request: { model: model.facts.fingerprint, rows: [tokens], captures: hooks } }),
      )
      for (const hook of hooks) {
        const stored = await writer.collection.read(row, hook)
        expect([hook, row, stored?.shape]).toEqual([hook, row, captures[hook].shape.slice(1)])
        const data = stored?.data ?? new Float32Array()
        // Masked scores are −∞ in both.
        const finite = (values: Float32Array): Float32Array => values.map((x) => (x === -Infinity ? -1 : x))
        const error = relativeTo(finite(captures[hook].data), finite(data))
        expect([hook, row, error <= 2e-6]).toEqual([hook, row, true])
      }
    }
  })

  it('keeps float16 within the bound that it states', async () => {
    const model = await openLlama()
    const hooks = ['blocks.*.hook_resid_post', 'blocks.1.attn.hook_z']
    const exact = await begin(model, someRows, [{ hooks, dtype: 'float32' }])
    await exact.run({ mode })
    const half = await begin(model, someRows, [{ hooks, dtype: 'float16' }])
    await half.run({ mode })
    for (const { name } of half.plan.outputs)
      for (const row of someRows.keys()) {
        const [a, b] = [
          await half.writer.collection.read(row, name),
          await exact.writer.collection.read(row, name),
        ]
        expect(a?.error.relative).toBeGreaterThan(0)
        const [x, y] = [a?.data ?? new Float32Array(), b?.data ?? new Float32Array()]
        expect(Math.max(...x.map((value, i) => Math.abs(value - y[i])))).toBeLessThanOrEqual(
          a?.error.max ?? 0,
        )
      }
    const { outputs } = await half.place.collections.describe(half.writer.id)
    for (const { error } of outputs) expect(error).toBeLessThanOrEqual(2 ** -11)
  })

  it('runs nothing that is stored, and goes on where a pause left it', async () => {
    const model = await openLlama()
    const { run, place, writer } = await begin(model, someRows, [
      { hooks: ['blocks.*.hook_resid_pre', 'ln_final.hook_normalized'] },
    ])
    const pause = new AbortController()
    const pieces: number[] = []
    const paused = await run({
      mode,
      tokens: 10,
      pause: pause.signal,
      onProgress: whileComputing(({ done }) => {
        pieces.push(done)
        pause.abort()
      }),
    })
    expect([paused.state, pieces.length]).toEqual(['paused', 1])
    expect((await run({ mode })).state).toBe('done')
    for (const row of someRows.keys())
      expect(await writer.collection.missing(await writer.collection.row(row))).toEqual([])
    expect(await place.collections.describe(writer.id)).toMatchObject({ complete: true, failures: [] })
    const again = await run({
      mode,
      onProgress: whileComputing(() => {
        throw new Error('something was run again')
      }),
    })
    expect(again).toMatchObject({ state: 'done', tokens: 0, bytes: 0 })
  })
})

it('carries residual streams through blocks that are compiled one after the other', async () => {
  const model = await openLlama(0)
  const hooks = ['blocks.*.hook_resid_post', 'blocks.*.attn.hook_pattern']
  const bounded = await begin(model, someRows, [{ hooks, dtype: 'float32' }])
  const seen: number[] = []
  await bounded.run({ mode: 'layer-major', onProgress: () => void seen.push(model.stack.sessions) })
  expect(Math.max(...seen)).toBeLessThanOrEqual(1)
  const free = await begin(await openLlama(), someRows, [{ hooks, dtype: 'float32' }])
  await free.run()
  for (const { name } of free.plan.outputs)
    for (const row of someRows.keys()) {
      const [a, b] = [
        await bounded.writer.collection.read(row, name),
        await free.writer.collection.read(row, name),
      ]
      expect(relativeTo(b?.data ?? new Float32Array(), a?.data ?? new Float32Array(1))).toBeLessThanOrEqual(
        2e-6,
      )
    }
})
