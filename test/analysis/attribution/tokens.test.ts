import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tokenAttribution, type TokensRequest } from '../../../main/analysis/attribution/tokens'
import { relativeError, type Case } from '../../../main/analysis/parity/case'
import { tokenAttribution as schema, type TokenBaseline } from '../../../preload/attribution'
import type { Tensor } from '../../../preload/tensor'
import { entry, openFamily, openReference, type OpenedModel } from './reference'

/** Sums over d of [pos, d_model]. */
function byToken({ shape: [positions, width], data }: Tensor): Tensor {
  const sums = Float32Array.from({ length: positions }, (_, p) =>
    data.subarray(p * width, (p + 1) * width).reduce((sum, x) => sum + x, 0),
  )
  return { shape: [positions], data: sums }
}
const floats = (data: Float32Array): Tensor => ({ shape: [data.length], data })

describe.each(['gpt2', 'llama', 'gemma2'])('token attribution on %s', (family) => {
  let model: OpenedModel
  let reference: Case
  let rows: number[][]
  let request: Omit<TokensRequest, 'tokens'>
  beforeAll(async () => {
    model = await openFamily(family)
    reference = await openReference(family)
    rows = await reference.tokens('input_ids')
    const { tokA = NaN, tokB = NaN, ig_steps: steps = NaN } = reference.reference
    request = {
      metric: { kind: 'logit-difference', positive: tokA, negative: tokB, position: 'last' },
      method: 'integrated-gradients',
      baseline: { kind: 'zero' },
      steps,
    }
  })
  afterAll(async () => {
    await model.close()
    await reference.close()
  })

  const compare = async (name: string, changes: (row: number) => Partial<TokensRequest>): Promise<void> => {
    const want = await reference.tensor(name)
    for (const [row, tokens] of rows.entries()) {
      const result = await tokenAttribution(model, { tokens, ...request, ...changes(row) })
      expect(schema.safeParse(result).error).toBeUndefined()
      expect(relativeError(floats(result.scores), byToken(entry(want, row)))).toBeLessThan(1e-4)
      const norms = byToken({ ...entry(want, row), data: entry(want, row).data.map((x) => x * x) })
      expect(relativeError(floats(result.norms), { ...norms, data: norms.data.map(Math.sqrt) })).toBeLessThan(
        1e-4,
      )
    }
  }

  it('gives the reference’s gradient × input', () =>
    compare('gradient_x_input', () => ({ method: 'gradient-input' })))

  it('gives the reference’s integrated gradients from zero, and the gap that they leave', async () => {
    await compare('ig', () => ({}))
    const atInput = await reference.tensor('ig.metric_at_input')
    const atBaseline = await reference.tensor('ig.metric_at_baseline')
    const tokens = await reference.tensor('ig.tokens')
    for (const [row, prompt] of rows.entries()) {
      const result = await tokenAttribution(model, { tokens: prompt, ...request })
      expect(result.metric).toBeCloseTo(atInput.data[row], 4)
      expect(result.baselineMetric).toBeCloseTo(atBaseline.data[row], 4)
      const sum = entry(tokens, row).data.reduce((a, b) => a + b, 0)
      expect(result.gap).toBeCloseTo(sum - (atInput.data[row] - atBaseline.data[row]), 3)
    }
  })

  it('gives the reference’s integrated gradients from the other prompt, which are nearly complete', async () => {
    const baseline = (row: number): TokenBaseline => ({ kind: 'prompt', tokens: rows[1 - row] })
    await compare('ig_from_other_row', (row) => ({ baseline: baseline(row) }))
    const result = await tokenAttribution(model, { tokens: rows[0], ...request, baseline: baseline(0) })
    expect(Math.abs(result.gap ?? NaN)).toBeLessThan(0.01)
    const coarse = await tokenAttribution(model, {
      tokens: rows[0],
      ...request,
      baseline: baseline(0),
      steps: 2,
    })
    expect(Math.abs(coarse.gap ?? NaN)).toBeGreaterThan(Math.abs(result.gap ?? NaN))
  })
})

describe('token attribution', () => {
  let model: OpenedModel
  beforeAll(async () => {
    model = await openFamily('llama')
  })
  afterAll(() => model.close())
  const request: TokensRequest = {
    tokens: [3, 17, 5, 40],
    metric: { kind: 'log-probability', token: 7, position: 2 },
    method: 'integrated-gradients',
    baseline: { kind: 'mean' },
    steps: 64,
  }

  it('is complete from the mean embedding, and gives nothing to what the metric can not see', async () => {
    const done: number[] = []
    const result = await tokenAttribution(model, request, { onProgress: (count) => done.push(count) })
    expect(Math.abs(result.gap ?? NaN)).toBeLessThan(0.05)
    expect(result.scores[3]).toBe(0)
    expect(done.at(-1)).toBe(64)
  })

  it('does not depend on how steps are batched', async () => {
    const together = await tokenAttribution(model, { ...request, steps: 5 })
    const alone = await tokenAttribution(model, { ...request, steps: 5 }, {}, 1)
    expect(relativeError(floats(alone.scores), floats(together.scores))).toBeLessThan(1e-5)
  })

  it('refuses a baseline prompt of another length and a metric that does not fit', async () => {
    await expect(
      tokenAttribution(model, { ...request, baseline: { kind: 'prompt', tokens: [1, 2] } }),
    ).rejects.toMatchObject({ code: 'input.invalid', field: 'baseline' })
    await expect(
      tokenAttribution(model, { ...request, metric: { kind: 'logit', token: 7, position: 4 } }),
    ).rejects.toMatchObject({ field: 'position' })
  })
})
