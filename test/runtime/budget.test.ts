/** A model under a memory budget computes what it computes without. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../../main/analysis/parity/case'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import { hookPointsOf } from '../../main/models/hook-points'
import type { TransformerSpec } from '../../main/models/spec'
import { generate } from '../../main/runtime/generate'
import { allFused } from '../../main/runtime/graph/context'
import { loadModel } from '../../main/runtime/load'
import { placeWeights, type PlacedWeights } from '../../main/runtime/placement'
import { ReadoutHead } from '../../main/runtime/readout'
import { executeRun } from '../../main/runtime/request'
import { BlockStack } from '../../main/runtime/stack'
import { hookName } from '../../preload/hooks'
import { generateRequest, runRequest } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { quantisedCheckpoint } from '../support/quantised-checkpoint'

const gguf = path.join(import.meta.dirname, '../reference/cases/gguf/llama.gguf')
const fingerprint = 'b'.repeat(64)
const rows = [
  [5, 17, 99, 23, 42, 7, 88, 3],
  [140, 2, 64, 9, 31],
]
/** float32; weights that are not rearranged are summed in another order */
const TOLERANCE = 5e-6

let cacheDir: string
let checkpoint: Checkpoint
let spec: TransformerSpec
beforeAll(async () => {
  cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-budget-'))
  checkpoint = await quantisedCheckpoint(await openCheckpoint(gguf), 'Q4_1')
  spec = await readSpec(checkpoint)
})
afterAll(async () => {
  await checkpoint.close()
  rmSync(cacheDir, { recursive: true, force: true })
})

describe.each(['float32', 'quantised'] as const)('a stack in %s that may keep no session', (precision) => {
  let weights: PlacedWeights
  let free: BlockStack
  let bounded: BlockStack

  beforeAll(async () => {
    const place = { checkpoint, spec, fingerprint: 'budget', precision, cacheDir }
    weights = await placeWeights(place)
    const rowsRead = await placeWeights({ ...place, readTokenRows: true })
    expect(rowsRead.tokenRows).not.toBeNull()
    const options = { spec, weights, provider: 'cpu', lowering: allFused } as const
    free = new BlockStack(options)
    bounded = new BlockStack({ ...options, weights: rowsRead, sessionBytes: 0 })
    await bounded.compile()
  })
  afterAll(async () => {
    await free.release()
    await bounded.release()
  })

  it('holds none before and after a run, and at most one part at a time', async () => {
    expect(bounded.sessions).toBe(0)
    await bounded.forward({ start: { kind: 'tokens', rows }, logits: 'last' })
    expect(bounded.sessions).toBe(0)
  })

  it('gives the same logits and activations, and changes alike', async () => {
    const captures = hookPointsOf(spec).map(hookName)
    const request = runRequest.parse({
      model: fingerprint,
      rows,
      captures,
      interventions: [{ hook: 'blocks.1.attn.hook_z', operation: { kind: 'scale', factor: 0.5 } }],
      logits: 'all',
    })
    const [want, got] = await Promise.all(
      [free, bounded].map((stack) => executeRun(stack, { request, tensors: {} })),
    )
    expectClose(got.logits, want.logits, 'logits')
    for (const hook of captures) expectClose(got.captures[hook], want.captures[hook], hook)
  })

  it('generates the same tokens', async () => {
    const request = generateRequest.parse({
      model: fingerprint,
      rows: [{ tokens: rows[0] }],
      maxTokens: 8,
      stopAtEos: false,
    })
    const [want, got] = await Promise.all(
      [free, bounded].map((stack) => generate(stack, { request, tensors: {} })),
    )
    expect(got[0].tokens).toEqual(want[0].tokens)
  })

  it('is read out by sessions that come and go', async () => {
    const context = { spec, weights, provider: 'cpu', lowering: allFused } as const
    const heads = [new ReadoutHead(context), new ReadoutHead({ ...context, transient: true })]
    const residuals: Tensor = { shape: [1, spec.dModel], data: new Float32Array(spec.dModel).fill(0.5) }
    const [kept, transient] = await Promise.all(heads.map((head) => head.read(residuals, { k: 4 })))
    expect(transient.topIds).toEqual(kept.topIds)
    expect(transient.topLogits).toEqual(kept.topLogits)
    for (const head of heads) await head.release()
  })
})

it('a budget below what one part needs is refused before anything is prepared', async () => {
  const request = { checkpoint, spec, fingerprint: 'refused', provider: 'cpu', precision: 'float32' } as const
  await expect(loadModel({ ...request, cacheDir, memoryBudget: 1e6 })).rejects.toMatchObject({
    code: 'memory.exhausted',
    field: 'memoryBudget',
  })
})

function expectClose(got: Tensor | null | undefined, want: Tensor | null | undefined, what: string): void {
  if (!got || !want) throw new Error(`${what} is missing`)
  const finite = ({ shape, data }: Tensor): Tensor => ({
    shape,
    data: data.map((x) => (x === -Infinity ? -1 : x)),
  })
  expect(relativeError(finite(got), finite(want)), what).toBeLessThanOrEqual(TOLERANCE)
}
