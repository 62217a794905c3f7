/** Blocks that share a graph give what they give one by one, whatever a run asks of them. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../../main/analysis/parity/case'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint } from '../../main/models/formats/checkpoint'
import { hookPointsOf } from '../../main/models/hook-points'
import type { TransformerSpec } from '../../main/models/spec'
import { generate } from '../../main/runtime/generate'
import { allFused } from '../../main/runtime/graph/context'
import { placeWeights, type PlacedWeights } from '../../main/runtime/placement'
import { executeRun } from '../../main/runtime/request'
import { BlockStack } from '../../main/runtime/stack'
import { hookName } from '../../preload/hooks'
import { generateRequest, runRequest, type InterventionInput, type RunRequestInput } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
const model = 'f'.repeat(64)
const rows = [
  [5, 17, 99, 23, 42, 7, 88],
  [140, 2, 64],
]

// Four layers, one without rotary embedding; windows that differ by layer; ALiBi; learned positions.
describe.each([
  ['smollm3', 2],
  ['smollm3', 3],
  ['gemma3_text', 3],
  ['bloom', 2],
  ['gpt2', 3],
])('in %s, %i blocks at a time', (name, blocksPerGraph) => {
  let spec: TransformerSpec
  let weights: PlacedWeights
  let alone: BlockStack
  let together: BlockStack

  beforeAll(async () => {
    const checkpoint = await openCheckpoint(path.join(folder, name))
    spec = await readSpec(checkpoint)
    weights = await placeWeights({
      checkpoint,
      spec,
      fingerprint: 'f',
      precision: 'float32',
      cacheDir: 'unused',
    })
    await checkpoint.close()
    const options = { spec, weights, provider: 'cpu', lowering: allFused } as const
    alone = new BlockStack({ ...options, blocksPerGraph: 1 })
    together = new BlockStack({ ...options, blocksPerGraph })
  })
  afterAll(() => Promise.all([alone.release(), together.release()]))

  /** The same request on both; everything that comes back must be the same. */
  async function expectSame(
    request: Partial<RunRequestInput>,
    tensors: Record<string, Tensor> = {},
  ): Promise<void> {
    const input = { request: runRequest.parse({ model, rows, logits: 'all', ...request }), tensors }
    const [want, got] = [await executeRun(alone, input), await executeRun(together, input)]
    expect(Object.keys(got.captures).sort()).toEqual(Object.keys(want.captures).sort())
    const finite = ({ shape, data }: Tensor): Tensor => ({
      shape,
      data: data.map((x) => (x === -Infinity ? -1 : x)),
    })
    for (const [hook, tensor] of Object.entries(want.captures)) {
      expect(got.captures[hook].shape).toEqual(tensor.shape)
      expect(relativeError(finite(got.captures[hook]), finite(tensor)), hook).toBeLessThan(5e-6)
    }
    for (const part of ['logits', 'residual'] as const) {
      const tensor = want[part]
      if (tensor !== null) expect(relativeError(got[part] ?? tensor, tensor), part).toBeLessThan(5e-6)
      else expect(got[part]).toBeNull()
    }
  }

  it('every hook point is the same', () => expectSame({ captures: hookPointsOf(spec).map(hookName) }))

  it('every hook point alone is the same', async () => {
    for (const point of hookPointsOf(spec)) await expectSame({ captures: [hookName(point)], logits: 'none' })
  })

  it('a change at any hook point has the same effect', async () => {
    const sites = ['hook_resid_pre', 'hook_resid_post', 'attn.hook_z', 'hook_mlp_out']
    const captures = spec.blocks.flatMap((_, layer) => [
      `blocks.${layer}.hook_resid_pre`,
      `blocks.${layer}.hook_resid_post`,
      `blocks.${layer}.attn.hook_pattern`,
    ])
    for (const layer of spec.blocks.keys())
      for (const site of sites) {
        const change: InterventionInput = {
          hook: `blocks.${layer}.${site}`,
          rows: [0],
          operation: { kind: 'scale', factor: 0.5 },
        }
        await expectSame({ interventions: [change], captures })
      }
  })

  it('runs that start and stop anywhere are the same', async () => {
    for (let start = 0; start < spec.blocks.length; start++)
      for (let stopLayer = start; stopLayer <= spec.blocks.length; stopLayer++) {
        const shape = [rows.length, rows[0].length, spec.dModel]
        const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i))
        await expectSame({ start: { layer: start, residual: 'r' }, stopLayer }, { r: { shape, data } })
      }
  })

  it('continuations are the same, steered too', async () => {
    const steer: InterventionInput = {
      hook: 'blocks.1.hook_resid_pre',
      rows: [1],
      operation: { kind: 'add', value: 'v' },
    }
    const v: Tensor = { shape: [spec.dModel], data: new Float32Array(spec.dModel).map((_, i) => Math.cos(i)) }
    const request = generateRequest.parse({
      model,
      rows: rows.map((tokens) => ({ tokens })),
      interventions: [steer],
      maxTokens: 8,
      stopAtEos: false,
    })
    const input = { request, tensors: { v } }
    expect(await generate(together, input)).toEqual(await generate(alone, input))
  })

  it('only as many graphs are compiled as there are segments', async () => {
    const fresh = new BlockStack({ spec, weights, provider: 'cpu', lowering: allFused, blocksPerGraph })
    await fresh.compile()
    expect(fresh.sessions).toBe(2 + Math.ceil(spec.blocks.length / blocksPerGraph))
    await fresh.release()
  })
})
