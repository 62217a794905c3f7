/** Mixtures of experts: what their hook points mean, and what changing them does. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runRequest, type RunRequestInput, type RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { relativeError } from '../../main/analysis/parity/case'
import { casesFolder } from '../support/cases'
import { openReferenceModel, type ReferenceModel } from '../support/reference-model'

const rows = [
  [5, 17, 140, 33, 8, 90],
  [7, 99, 12],
]
const logitsHook = 'blocks.1.mlp.hook_router_logits'
const weightsHook = 'blocks.1.mlp.hook_expert_weights'
const outputsHook = 'blocks.1.mlp.hook_expert_outputs'
const mlpOut = 'blocks.1.hook_mlp_out'

describe.each(['mixtral', 'qwen3_moe', 'gpt_oss'])('the experts of %s', (name) => {
  let model: ReferenceModel
  beforeAll(async () => {
    model = await openReferenceModel(path.join(casesFolder, 'architectures', name))
  })
  afterAll(() => model.close())

  const run = (input: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}): Promise<RunResult> =>
    model.run({
      request: runRequest.parse({ model: model.fingerprint, rows, ...input }),
      tensors: Object.fromEntries(
        Object.entries(tensors).map(([key, { shape, data }]) => [key, { shape: [...shape], data }]),
      ),
    })

  it('get a weight above zero where they are among the top two, and none elsewhere', async () => {
    const { captures } = await run({ captures: [logitsHook, weightsHook] })
    expect(captures[weightsHook].shape).toEqual([2, 6, 4])
    for (let token = 0; token < 12; token++) {
      if (token >= 9) continue // the second row's padding
      const logits = [...captures[logitsHook].data.subarray(4 * token, 4 * token + 4)]
      const weights = [...captures[weightsHook].data.subarray(4 * token, 4 * token + 4)]
      const second = logits.toSorted((a, b) => b - a)[1]
      expect(weights.map((weight) => weight > 0)).toEqual(logits.map((logit) => logit >= second))
      expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5)
    }
  })

  it('add up to what the MLP adds', async () => {
    const { captures } = await run({ captures: [outputsHook, mlpOut] })
    const outputs = captures[outputsHook]
    expect(outputs.shape).toEqual([2, 6, 4, 32])
    const sum = new Float32Array(captures[mlpOut].data.length)
    outputs.data.forEach((x, i) => (sum[Math.floor(i / 128) * 32 + (i % 32)] += x))
    expect(relativeError({ shape: captures[mlpOut].shape, data: sum }, captures[mlpOut])).toBeLessThan(1e-5)
  })

  it('do not change where a capture of their outputs asks for all of them', async () => {
    const plain = await run({ logits: 'all' })
    const captured = await run({ logits: 'all', captures: [outputsHook, weightsHook, logitsHook] })
    expect(relativeError(need(captured.logits), need(plain.logits))).toBeLessThan(1e-5)
  })

  it('lose just their own contribution where their weight is set to zero', async () => {
    const before = await run({ captures: [outputsHook, mlpOut] })
    const after = await run({
      captures: [mlpOut],
      interventions: [{ hook: weightsHook, units: [2], operation: { kind: 'scale', factor: 0 } }],
    })
    expect(distanceWithout(2, before, after)).toBeLessThan(1e-5)
  })

  it('lose just their own contribution where that is replaced by nothing', async () => {
    const before = await run({ rows: [rows[0]], captures: [outputsHook, mlpOut] })
    const kept = before.captures[outputsHook].data.map((x, i) => (Math.floor(i / 32) % 4 === 2 ? 0 : x))
    const after = await run(
      {
        rows: [rows[0]],
        captures: [mlpOut],
        interventions: [{ hook: outputsHook, operation: { kind: 'replace', value: 'kept' } }],
      },
      { kept: { shape: [6, 4, 32], data: kept } },
    )
    expect(distanceWithout(2, before, after)).toBeLessThan(1e-5)
  })

  it('are chosen by the router’s scores, also where those are changed', async () => {
    const favour: Tensor = { shape: [4], data: Float32Array.of(0, 0, 0, 1e4) }
    const { captures } = await run(
      {
        captures: [weightsHook],
        interventions: [{ hook: logitsHook, operation: { kind: 'add', value: 'favour' } }],
      },
      { favour },
    )
    for (let token = 0; token < 9; token++)
      expect(captures[weightsHook].data[4 * token + 3]).toBeCloseTo(1, 5)
  })

  it('have no neurons’ hook points of their own', async () => {
    await expect(run({ captures: ['blocks.1.mlp.hook_post'] })).rejects.toMatchObject({
      code: 'hook.unavailable',
    })
  })
})

it('A dense layer among mixtures has neurons and no router', async () => {
  const model = await openReferenceModel(path.join(casesFolder, 'variants/qwen3_moe_mixed'))
  try {
    const request = (hook: string) =>
      model.run({
        request: runRequest.parse({ model: model.fingerprint, rows: [[3, 4]], captures: [hook] }),
        tensors: {},
      })
    expect((await request('blocks.0.mlp.hook_post')).captures).toHaveProperty(['blocks.0.mlp.hook_post'])
    await expect(request('blocks.0.mlp.hook_router_logits')).rejects.toMatchObject({
      code: 'hook.unavailable',
    })
    expect((await request('blocks.3.mlp.hook_router_logits')).captures).toHaveProperty([
      'blocks.3.mlp.hook_router_logits',
    ])
  } finally {
    await model.close()
  }
})

function need(tensor: Tensor | null): Tensor {
  if (tensor === null) throw new Error('The run gave no logits.')
  return tensor
}

/** How far `after` is from `before` less one expert's contribution, relative to the largest number. */
function distanceWithout(expert: number, before: RunResult, after: RunResult): number {
  const outputs = before.captures[outputsHook].data
  const whole = before.captures[mlpOut]
  const without = whole.data.map((x, i) => x - outputs[Math.floor(i / 32) * 128 + expert * 32 + (i % 32)])
  return relativeError(after.captures[mlpOut], { shape: whole.shape, data: without })
}
