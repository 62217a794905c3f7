/** What a request may not say, and how it is told. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hookPointsOf, resolveHook } from '../../main/models/hook-points'
import { hookName } from '../../preload/hooks'
import { runRequest, type RunRequestInput, type RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { openReferenceModel, type ReferenceModel } from '../support/reference-model'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
let model: ReferenceModel
beforeAll(async () => {
  model = await openReferenceModel(path.join(folder, 'llama'))
})
afterAll(() => model.close())

const run = (request: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}): Promise<RunResult> =>
  model.run({
    request: runRequest.parse({ model: model.fingerprint, rows: [[1, 2, 3]], ...request }),
    tensors,
  })
const steer = (change: object): Partial<RunRequestInput> => ({
  interventions: [{ hook: 'blocks.0.hook_resid_pre', operation: { kind: 'add', value: 'v' }, ...change }],
})
const v: Tensor = { shape: [32], data: new Float32Array(32).fill(1) }

describe('a run request is refused', () => {
  it('with a token outside the vocabulary', async () => {
    await expect(run({ rows: [[1], [5, 160]] })).rejects.toMatchObject({
      code: 'input.invalid',
      field: 'rows.1',
    })
  })

  it('with a prompt beyond the context length', async () => {
    await expect(run({ rows: [new Array<number>(65).fill(1)] })).rejects.toMatchObject({
      code: 'prompt.too-long',
    })
    await expect(run({ rows: [new Array<number>(64).fill(1)] })).resolves.toBeDefined()
  })

  it('with an empty row', async () => {
    const request = { ...runRequest.parse({ model: model.fingerprint, rows: [[1]] }), rows: [[]] }
    await expect(model.run({ request, tensors: {} })).rejects.toMatchObject({ code: 'prompt.empty' })
  })

  it('with an unknown hook point, naming the nearest', async () => {
    const wrong = run({ captures: ['blocks.1.attn.hook_patern'] })
    await expect(wrong).rejects.toMatchObject({ code: 'hook.unknown' })
    await expect(wrong).rejects.toHaveProperty('next', expect.stringContaining('blocks.1.attn.hook_pattern'))
  })

  it('with a hook point that this model does not have', async () => {
    for (const hook of ['blocks.2.hook_resid_pre', 'hook_pos_embed'])
      await expect(run({ captures: [hook] })).rejects.toMatchObject({ code: 'hook.unavailable', field: hook })
  })

  it('with rows, heads, units or positions that are not there, or twice', async () => {
    const z = { hook: 'blocks.0.attn.hook_z', operation: { kind: 'scale', factor: 0 } }
    const cases: [object, string][] = [
      [{ rows: [1] }, 'interventions.0.rows'],
      [{ ...z, heads: [4] }, 'interventions.0.heads'],
      [{ heads: [0] }, 'interventions.0.heads'],
      [{ units: [32] }, 'interventions.0.units'],
      [{ units: [3, 3] }, 'interventions.0.units'],
      [{ positions: [3] }, 'interventions.0.positions'],
    ]
    for (const [change, field] of cases)
      await expect(run(steer(change), { v })).rejects.toMatchObject({ code: 'input.invalid', field })
  })

  it('with a tensor that is missing or does not broadcast to what is selected', async () => {
    await expect(run(steer({}))).rejects.toMatchObject({ code: 'input.invalid' })
    const wrong: Tensor = { shape: [2, 32], data: new Float32Array(64) }
    await expect(run(steer({}), { v: wrong })).rejects.toThrow(
      /\[2, 32\] does not fit the selected part \[3, 32\]/,
    )
    await expect(run(steer({ positions: [0, 2] }), { v: wrong })).resolves.toBeDefined()
  })

  it('with a direction off the residual stream, of length zero, or of another width', async () => {
    const remove = { kind: 'direction', direction: 'v' }
    const off = steer({ hook: 'blocks.0.hook_mlp_out', operation: remove })
    await expect(run(off, { v })).rejects.toMatchObject({ field: 'interventions.0.hook' })
    const zero: Tensor = { shape: [32], data: new Float32Array(32) }
    await expect(run(steer({ operation: remove }), { v: zero })).rejects.toThrow(/length zero/)
    const narrow: Tensor = { shape: [16], data: new Float32Array(16).fill(1) }
    await expect(run(steer({ operation: remove }), { v: narrow })).rejects.toThrow(/d_model = 32/)
  })

  it('with a residual stream to start from that does not fit its rows', async () => {
    await expect(run({ start: { layer: 1, residual: 'v' } }, { v })).rejects.toMatchObject({
      field: 'start.residual',
    })
    const three: Tensor = { shape: [1, 3, 32], data: new Float32Array(96) }
    await expect(run({ start: { layer: 3, residual: 'r' } }, { r: three })).rejects.toMatchObject({
      field: 'start.layer',
    })
  })
})

describe('hook points', () => {
  it('are found by alias and given out under their canonical names', async () => {
    const { captures } = await run({ captures: ['blocks.0.hook_in', 'blocks.1.attn.o.hook_in'] })
    expect(Object.keys(captures).sort()).toEqual(['blocks.0.hook_resid_pre', 'blocks.1.attn.hook_z'])
  })

  it('all resolve to themselves', () => {
    for (const point of hookPointsOf(model.spec))
      expect(resolveHook(model.spec, hookName(point))).toEqual(point)
  })
})
