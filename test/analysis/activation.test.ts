import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { activationView, groupExtremes } from '../../main/analysis/activation'
import type { AnalysisModel } from '../../main/analysis/subject'
import { noGradients } from '../../preload/run'
import { activationView as schema } from '../../preload/views'
import { NaiveModel } from './naive-model'

const model = new NaiveModel()
const tokens = model.ids('The capital of France is')

/** A model whose one activation is given. */
const fixed = (hook: string, shape: number[], data: Float32Array): AnalysisModel =>
  Object.assign(new NaiveModel({ hooks: new Set([hook]) }), {
    run: async () => ({
      lengths: [1],
      captures: { [hook]: { shape: [1, ...shape], data } },
      logits: null,
      residual: null,
      ...noGradients(),
    }),
  })

describe('activationView', () => {
  it('shows a residual stream as positions by dimensions', async () => {
    const view = await activationView(model, tokens, { hook: 'blocks.1.hook_in', maxColumns: 512 })
    expect(schema.safeParse(view).error).toBeUndefined()
    expect(view).toMatchObject({
      hook: 'blocks.1.hook_resid_pre',
      dims: ['pos', 'd_model'],
      shape: [5, 128],
      rows: 5,
      columns: 128,
      columnsPerCell: 1,
    })
    const row = view.heatmap.data.subarray(128, 256)
    expect(view.norms[1]).toBeCloseTo(Math.hypot(...row), 4)
    expect(view.histogram.counts.reduce((a, b) => a + b)).toBe(5 * 128)
  })

  it('flattens heads into columns, and gives a pattern a row for each head and query', async () => {
    expect(
      await activationView(model, tokens, { hook: 'blocks.1.attn.hook_z', maxColumns: 512 }),
    ).toMatchObject({ rows: 5, columns: 128, shape: [5, 4, 32] })
    expect(
      await activationView(model, tokens, { hook: 'blocks.1.attn.hook_pattern', maxColumns: 512 }),
    ).toMatchObject({
      rows: 20,
      columns: 5,
      dims: ['head', 'q_pos', 'k_pos'],
    })
  })

  it('shows of each group of columns the entry of largest magnitude', async () => {
    const view = await activationView(model, tokens, { hook: 'blocks.1.mlp.hook_post', maxColumns: 50 })
    expect(view).toMatchObject({ columns: 384, columnsPerCell: 8 })
    expect(view.heatmap.shape).toEqual([5, 48])
    const exact = await activationView(model, tokens, { hook: 'blocks.1.mlp.hook_post', maxColumns: 384 })
    const group = [...exact.heatmap.data.subarray(384 + 8, 384 + 16)]
    expect(view.heatmap.data[49]).toBe(group.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)))
  })

  it('leaves masked scores out of the statistics and counts them', async () => {
    const hook = 'blocks.0.attn.hook_attn_scores'
    const scores = Float32Array.of(3, -Infinity, 4, 1)
    const view = await activationView(fixed(hook, [1, 2, 2], scores), tokens, { hook, maxColumns: 16 })
    expect(schema.safeParse(view).error).toBeUndefined()
    expect(view.statistics).toMatchObject({ minimum: 1, maximum: 4, notFinite: 1, mean: 8 / 3 })
    expect([...view.norms]).toEqual([3, Math.fround(Math.hypot(4, 1))])
    expect(view.heatmap.data[1]).toBe(-Infinity)
    expect(view.histogram.counts.reduce((a, b) => a + b)).toBe(3)
  })

  it('refuses names that are no hook point, or none of this model', async () => {
    const view = (hook: string) => activationView(model, tokens, { hook, maxColumns: 16 })
    await expect(view('blocks.0.hook_nothing')).rejects.toMatchObject({ code: 'hook.unknown', field: 'hook' })
    await expect(view('__proto__')).rejects.toMatchObject({ code: 'hook.unknown' })
    await expect(view('blocks.4.hook_resid_pre')).rejects.toMatchObject({ code: 'hook.unavailable' })
    await expect(view('hook_pos_embed')).rejects.toMatchObject({ code: 'hook.unavailable' })
  })
})

describe('groupExtremes', () => {
  it('shows a value that is not finite only where its whole group is not', () => {
    const data = Float32Array.of(NaN, 1, -Infinity, -2, NaN, -Infinity)
    expect([...groupExtremes(data, 1, 6, 2)]).toEqual([1, -2, NaN])
  })

  it('gives for every group an entry of it, none of them larger', () => {
    const table = fc.integer({ min: 1, max: 7 }).chain((columns) =>
      fc.tuple(
        fc.constant(columns),
        fc.float32Array({
          minLength: columns * 3,
          maxLength: columns * 3,
          noNaN: true,
          noDefaultInfinity: true,
        }),
        fc.integer({ min: 1, max: 8 }),
      ),
    )
    fc.assert(
      fc.property(table, ([columns, data, perCell]) => {
        const cells = Math.ceil(columns / perCell)
        const shown = groupExtremes(data, 3, columns, perCell)
        expect(shown).toHaveLength(3 * cells)
        shown.forEach((value, i) => {
          const row = Math.floor(i / cells)
          const start = (i % cells) * perCell
          const group = [...data.subarray(row * columns, (row + 1) * columns)].slice(start, start + perCell)
          expect(group).toContain(value)
          expect(Math.abs(value)).toBe(Math.max(...group.map(Math.abs)))
        })
      }),
    )
  })
})
