/** What a backward pass must keep whatever it computes: padding, parameters, budgets, cancelling. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { relativeError } from '../../../main/analysis/parity/case'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { readSpec } from '../../../main/models/architectures/registry'
import { allFused } from '../../../main/runtime/graph/context'
import { loadModel } from '../../../main/runtime/load'
import { placeWeights } from '../../../main/runtime/placement'
import { executeRun } from '../../../main/runtime/request'
import { Session } from '../../../main/runtime/session'
import { BlockStack } from '../../../main/runtime/stack'
import type { Precision } from '../../../preload/run'
import { inputOf } from '../../support/finite-difference'
import { quantisedCheckpoint } from '../../support/quantised-checkpoint'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const folder = path.join(import.meta.dirname, '../../reference/cases/architectures')
const long = [5, 17, 99, 23, 42, 7]
const short = [88, 3, 61]
const metric = { kind: 'cross-entropy' as const }

let model: ReferenceModel
beforeAll(async () => void (model = await openReferenceModel(path.join(folder, 'llama'))))
afterAll(() => model.close())

describe('a backward pass', () => {
  const hooks = [
    'hook_embed',
    'blocks.0.attn.hook_z',
    'blocks.1.attn.hook_pattern',
    'blocks.1.hook_resid_post',
  ]

  it('gives a row of a padded batch the gradients that it has alone, and padding none', async () => {
    const both = await model.run(inputOf(model, { rows: [long, short], backward: { metric, hooks } }))
    const alone = await model.run(inputOf(model, { rows: [short], backward: { metric, hooks } }))
    expect(both.metric?.data[1]).toBeCloseTo(alone.metric?.data[0] ?? NaN, 5)
    for (const hook of hooks.filter((name) => !name.endsWith('pattern'))) {
      const { shape, data } = both.gradients[hook]
      const width = data.length / (shape[0] * shape[1])
      const row = data.subarray(long.length * width)
      const real = row.subarray(0, short.length * width)
      expect(relativeError({ shape: [], data: real }, alone.gradients[hook])).toBeLessThan(1e-5)
      expect(row.subarray(short.length * width).every((x) => x === 0)).toBe(true)
    }
    const pattern = both.gradients['blocks.1.attn.hook_pattern']
    const [, heads, queries, keys] = pattern.shape
    for (let head = 0; head < heads; head++)
      for (let q = short.length; q < queries; q++) {
        const start = ((heads + head) * queries + q) * keys
        expect(pattern.data.subarray(start, start + keys).every((x) => x === 0)).toBe(true)
      }
  })

  it('starts from a residual stream as from the tokens that it came from', async () => {
    const hook = 'blocks.1.hook_resid_pre'
    const want = await model.run(
      inputOf(model, { rows: [long], captures: [hook], backward: { metric, hooks: [hook] } }),
    )
    const r = { shape: [...want.captures[hook].shape], data: want.captures[hook].data }
    const start = { layer: 1, residual: 'r' }
    const got = await model.run(
      inputOf(model, { rows: [long], start, backward: { metric, hooks: [hook] } }, { r }),
    )
    expect(relativeError(got.gradients[hook], want.gradients[hook])).toBeLessThan(1e-6)
  })

  it('computes blocks again where a run is too long to keep them, to the same numbers', async () => {
    const rows = Array.from({ length: 400 }, (_, i) =>
      Array.from({ length: 60 }, (__, j) => (i * 31 + j * 7) % 100),
    )
    const metrics = { kind: 'logit-difference' as const, positive: [1], negative: [2] }
    const run = { backward: { metric: metrics, hooks: ['blocks.0.hook_resid_pre'] } }
    const many = await model.run(inputOf(model, { ...run, rows }))
    // A second such run finds its sessions, as the model is small.
    const compiled = vi.spyOn(Session, 'load')
    const again = await model.run(inputOf(model, { ...run, rows }))
    expect(compiled).not.toHaveBeenCalled()
    compiled.mockRestore()
    expect(again.gradients).toEqual(many.gradients)
    const few = await model.run(inputOf(model, { ...run, rows: rows.slice(0, 2) }))
    const size = few.gradients['blocks.0.hook_resid_pre'].data.length
    const part = many.gradients['blocks.0.hook_resid_pre'].data.subarray(0, size)
    expect(relativeError({ shape: [], data: part }, few.gradients['blocks.0.hook_resid_pre'])).toBeLessThan(
      1e-5,
    )
  })

  it('works under a memory budget that lets one block be compiled at a time', async () => {
    const location = path.join(folder, 'llama')
    const checkpoint = await openCheckpoint(location)
    const spec = await readSpec(checkpoint)
    const weights = await placeWeights({ checkpoint, spec, fingerprint: 'f', cacheDir: 'unused' })
    const stack = new BlockStack({ spec, weights, provider: 'cpu', lowering: allFused, sessionBytes: 1 })
    try {
      const input = inputOf(model, { rows: [long, short], backward: { metric, hooks } })
      const want = await model.run(input)
      const got = await executeRun(stack, input)
      for (const hook of hooks)
        expect(relativeError(got.gradients[hook], want.gradients[hook])).toBeLessThan(1e-6)
      expect(stack.sessions).toBeLessThanOrEqual(1)
    } finally {
      await stack.release()
      await checkpoint.close()
    }
  })

  it('compiles nothing for gradients until they are asked for', async () => {
    const fresh = await openReferenceModel(path.join(folder, 'llama'))
    const before = fresh.stack.sessions
    await fresh.run(inputOf(fresh, { rows: [long], backward: { metric } }))
    expect(fresh.stack.sessions).toBe(before + 1)
    await fresh.run(
      inputOf(fresh, { rows: [long], backward: { metric, hooks: ['blocks.1.hook_resid_pre'] } }),
    )
    expect(fresh.stack.sessions).toBe(before + 2)
    await fresh.close()
  })

  it('reports its blocks and can be cancelled between them', async () => {
    const seen: string[] = []
    const controller = new AbortController()
    const input = inputOf(model, { rows: [long], backward: { metric, hooks: ['blocks.0.hook_resid_pre'] } })
    await executeRun(model.stack, input, { onProgress: (done, total) => seen.push(`${done}/${total}`) })
    expect(seen).toEqual(['1/4', '2/4', '3/4', '4/4'])
    const run = executeRun(model.stack, input, {
      signal: controller.signal,
      onProgress: (done) => done === 3 && controller.abort(),
    })
    await expect(run).rejects.toMatchObject({ code: 'run.cancelled' })
  })
})

describe('a quantised model', () => {
  it.each(['Q4_0', 'Q4_1', 'Q8_0'] as const)(
    'in %s has the gradients of its dequantised weights',
    async (storage) => {
      const cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-backward-'))
      const checkpoint = await quantisedCheckpoint(await openCheckpoint(path.join(folder, 'llama')), storage)
      const spec = await readSpec(checkpoint)
      const load = (precision: Precision) =>
        loadModel({ checkpoint, spec, fingerprint: 'c'.repeat(64), provider: 'cpu', precision, cacheDir })
      const [dense, packed] = [await load('float32'), await load('quantised')]
      try {
        const hooks = ['hook_embed', 'blocks.0.attn.hook_z', 'blocks.1.mlp.hook_post']
        const input = inputOf(model, { rows: [long, short], backward: { metric, hooks } })
        const want = await executeRun(dense.stack, input)
        const got = await executeRun(packed.stack, input)
        for (const hook of hooks)
          expect(relativeError(got.gradients[hook], want.gradients[hook])).toBeLessThan(1e-5)
        const weights = [spec.blocks[0].attention.output.weight.tensor]
        const refused = executeRun(
          packed.stack,
          inputOf(model, { rows: [long], backward: { metric, weights } }),
        )
        await expect(refused).rejects.toMatchObject({ code: 'input.invalid', next: 'Open it in float32.' })
      } finally {
        await dense.stack.release()
        await packed.stack.release()
        await checkpoint.close()
        rmSync(cacheDir, { recursive: true, force: true })
      }
    },
  )
})
