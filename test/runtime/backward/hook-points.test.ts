/** Gradients at every hook point against finite differences of runs that add to what is there. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hookName } from '../../../preload/hooks'
import { hookPointsOf } from '../../../main/models/hook-points'
import { slopes, wave } from '../../support/finite-difference'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const folder = path.join(import.meta.dirname, '../../reference/cases/architectures')
const rows = [
  [5, 17, 99, 23, 42, 7],
  [88, 3, 61, 30],
]
const metric = { kind: 'log-probability', token: 11 } as const

const STEP = 2e-3

/** Float32 differences of float32 runs. */
const close = ({ gradient, difference }: { gradient: number; difference: number }): number =>
  Math.abs(gradient - difference) / Math.max(0.05, Math.abs(difference))

describe.each(['gemma2', 'gpt2', 'qwen3_moe', 'gpt_oss', 'cohere'])('gradients of %s', (name) => {
  let model: ReferenceModel
  beforeAll(async () => void (model = await openReferenceModel(path.join(folder, name))))
  afterAll(() => model.close())

  it('are the slopes of the metric at every hook point', { timeout: 120_000 }, async () => {
    const wrong: Record<string, unknown> = {}
    const hooks = hookPointsOf(model.spec)
      .filter(({ layer }) => layer === null || layer === 1)
      .map(hookName)
    expect(hooks.length).toBeGreaterThan(15)
    for (const hook of hooks)
      for (const row of rows.keys()) {
        const found = await slopes(model, { rows, backward: { metric } }, {}, hook, row, STEP)
        if (!(close(found) < 0.02)) wrong[`${hook} of row ${row}`] = found
      }
    expect(wrong).toEqual({})
  })

  it('are those of the run as it is changed', async () => {
    const { dModel } = model.spec
    const { heads, headDim } = model.spec.blocks[1].attention
    const tensors = {
      d: { shape: [dModel], data: wave(dModel, 3) },
      v: { shape: [dModel], data: wave(dModel, 4, 0.5) },
      z: { shape: [heads * headDim], data: wave(heads * headDim, 5) },
    }
    const run = {
      rows,
      backward: { metric },
      interventions: [
        {
          hook: 'blocks.0.hook_resid_post',
          operation: { kind: 'direction' as const, direction: 'd', target: 0.3 },
        },
        { hook: 'blocks.1.hook_resid_pre', positions: [1], operation: { kind: 'add' as const, value: 'v' } },
        { hook: 'blocks.1.attn.hook_z', heads: [0], operation: { kind: 'scale' as const, factor: 0.5 } },
        { hook: 'blocks.1.hook_mlp_out', rows: [0], operation: { kind: 'scale' as const, factor: 0 } },
        { hook: 'ln_final.hook_normalized', operation: { kind: 'scale' as const, factor: 1.5 } },
      ],
    }
    const wrong: Record<string, unknown> = {}
    for (const hook of [
      'hook_embed',
      'blocks.0.hook_resid_pre',
      'blocks.0.attn.hook_v',
      'blocks.1.hook_resid_pre',
    ])
      for (const row of rows.keys()) {
        const found = await slopes(model, run, tensors, hook, row, STEP)
        if (!(close(found) < 0.02)) wrong[`${hook} of row ${row}`] = found
      }
    expect(wrong).toEqual({})
  })
})
