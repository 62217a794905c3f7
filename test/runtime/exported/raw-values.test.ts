/** Values of exported graphs by their own names, and graphs in which nothing else can be named. */
import { describe, expect, it } from 'vitest'
import { relativeError } from '../../../main/analysis/parity/case'
import { argmax } from '../../../main/runtime/distribution'
import { reportOf } from '../../../main/runtime/exported/report'
import { generateRequest } from '../../../preload/run'
import { sizeOf } from '../../../preload/tensor'
import { failureOf } from '../../models/scratch'
import { tinyDecoder } from '../../support/tiny-decoder'
import { flat, logitsOf, rows, run, useExports } from '../../support/use-exports'

const { open } = useExports()

describe('raw values', () => {
  it('of every kind can be captured, as numbers', async () => {
    const model = await open(tinyDecoder({ mask: 'where' }))
    const report = reportOf(model.plan, undefined)
    const captures = report.values.map(({ name }) => `value:${name}`)
    const result = await run(model, { captures })
    for (const { name, shape, type } of report.values) {
      const captured = result.captures[`value:${name}`]
      expect(captured.data).toHaveLength(sizeOf(captured.shape))
      const sizes = shape
        .slice(1, -1)
        .split(', ')
        .filter((dim) => /^\d+$/.test(dim))
        .map(Number)
      expect([name, captured.shape]).toEqual([name, expect.arrayContaining(sizes)])
      if (type === 'bool') expect(captured.data.every((x) => x === 0 || x === 1)).toBe(true)
    }
    expect(report.values.some(({ type }) => type === 'bool')).toBe(true)
    expect(report.values.some(({ type }) => type === 'int64')).toBe(true)
  })

  it('that are the same for all rows are changed as a whole', async () => {
    const model = await open(tinyDecoder())
    const report = reportOf(model.plan, undefined)
    const positions = report.values.find(({ operator, hooks }) => operator === 'Gather' && hooks.length === 1)
    const hook = `value:${positions?.name}`
    expect(positions?.hooks).toEqual(['hook_pos_embed'])
    const off = { hook, operation: { kind: 'scale', factor: 0 } as const }
    const silenced = await run(model, { rows, interventions: [off] })
    const same = await run(model, { rows, interventions: [{ ...off, hook: 'hook_pos_embed' }] })
    expect(relativeError(logitsOf(silenced), logitsOf(same))).toBe(0)
    expect(relativeError(logitsOf(silenced), logitsOf(await run(model, { rows })))).toBeGreaterThan(0.01)
    const chosen = { ...off, rows: [0] }
    expect(await failureOf(() => run(model, { rows, interventions: [chosen] }))).toMatchObject({
      code: 'input.invalid',
      field: 'interventions.0.rows',
    })
  })

  it('of whole numbers and truth values can be changed too', async () => {
    const model = await open(tinyDecoder())
    const report = reportOf(model.plan, undefined)
    const causal = report.values.find(({ operator }) => operator === 'Not')
    const open_ = { hook: `value:${causal?.name}`, operation: { kind: 'replace', value: 'one' } as const }
    const one = { one: { shape: [1], data: Float32Array.of(1) } }
    const { captures } = await run(
      model,
      { captures: ['blocks.0.attn.hook_pattern'], interventions: [open_] },
      one,
    )
    // Without the causal mask the first position looks at all later ones.
    expect(captures['blocks.0.attn.hook_pattern'].data[5]).toBeGreaterThan(0)
  })
})

describe('a graph in float16', () => {
  it('gives out its logits and values in float32, and takes changes in it', async () => {
    const model = await open(flat(['b', 's'], true))
    const result = await run(model, { rows: [[1, 2, 3]], captures: ['value:t'] })
    expect(result.captures['value:t'].data[0]).toBeCloseTo(Math.tanh(Math.sin(4)), 3)
    const exact = logitsOf(await run(await open(flat(['b', 's'])), { rows: [[1, 2, 3]] }))
    expect(relativeError(logitsOf(result), exact)).toBeLessThan(2e-3)
    const off = { hook: 'value:t', operation: { kind: 'scale', factor: 0 } as const }
    const silenced = await run(model, { rows: [[1, 2, 3]], interventions: [off], logits: 'last' })
    expect(logitsOf(silenced).data.every((x) => x === 0)).toBe(true)
  })
})

describe('a graph without a residual stream', () => {
  it('is run whole: logits, raw captures, raw patches, generation', async () => {
    const model = await open(flat(['b', 's']))
    expect(model.plan.whole).toMatch(/residual stream/)
    const { captures, logits } = await run(model, { rows: [[1, 2, 3]], captures: ['value:t'] })
    expect(captures['value:t'].shape).toEqual([1, 3, 4])
    const patched = await run(model, {
      rows: [[1, 2, 3]],
      interventions: [{ hook: 'value:t', positions: [1], operation: { kind: 'scale', factor: 0 } }],
    })
    expect([...logitsOf(patched).data.subarray(9, 18)].every((x) => x === 0)).toBe(true)
    expect(logitsOf(patched).data.subarray(18)).toEqual(logits?.data.subarray(18))
    const request = generateRequest.parse({
      model: model.fingerprint,
      rows: [{ tokens: [1, 2] }],
      maxTokens: 3,
    })
    const [row] = await model.generate({ request, tensors: {} })
    expect(row.tokens).toHaveLength(3)
    expect(row.tokens[0]).toBe(argmax(logits?.data.subarray(9, 18) ?? new Float32Array(1)))
  })

  it('can not be entered or left in the middle', async () => {
    const model = await open(flat(['b', 's']))
    expect(await failureOf(() => run(model, { rows: [[1]], stopLayer: 0 }))).toMatchObject({
      code: 'input.invalid',
    })
    const rows_ = { shape: [1, 0], data: new Float32Array(0) }
    expect(await failureOf(() => model.stack.unembed(rows_))).toMatchObject({ code: 'hook.unavailable' })
  })

  it('with fixed sizes says for which it was exported', async () => {
    const model = await open(flat([1, 3]))
    expect(logitsOf(await run(model, { rows: [[1, 2, 3]] })).shape).toEqual([1, 3, 9])
    for (const wrong of [
      [[1, 2]],
      [
        [1, 2, 3],
        [1, 2, 3],
      ],
    ])
      expect(await failureOf(() => run(model, { rows: wrong }))).toMatchObject({ code: 'model.unsupported' })
  })
})
