import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import type { TransformerSpec } from '../../main/models/spec'
import { allFused } from '../../main/runtime/graph/context'
import { placeWeights, type PlacedWeights } from '../../main/runtime/placement'
import { ReadoutHead } from '../../main/runtime/readout'
import type { Tensor } from '../../preload/tensor'
import { NaiveLlama } from '../analysis/naive-llama'
import { klOf, logSoftmax, rowsOf, storyworld } from '../analysis/naive-model'

const llama = new NaiveLlama(storyworld)
/** Residual streams of a real prompt at several depths, and small and large ones: [n, d_model]. */
const rows: Float64Array[] = []
llama.forward([1, 657, 354, 284, 266, 635], (hook, value) => {
  if (hook.endsWith('hook_resid_post')) rows.push(...value.map((row) => row.slice()))
})
rows.push(
  rows[0].map((x) => x * 1e-3),
  rows[7].map((x) => -50 * x),
)
const width = rows[0].length
const tensor = (some: Float64Array[]): Tensor => ({
  shape: [some.length, width],
  data: Float32Array.from(some.flatMap((row) => [...row])),
})

let cacheDir: string
let checkpoint: Checkpoint
let spec: TransformerSpec
let weights: PlacedWeights
const heads: ReadoutHead[] = []

beforeAll(async () => {
  cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-'))
  checkpoint = await openCheckpoint(storyworld)
  spec = await readSpec(checkpoint)
  weights = await placeWeights({ checkpoint, spec, fingerprint: 'f'.repeat(64), cacheDir })
})
afterAll(async () => {
  for (const head of heads) await head.release()
  await checkpoint.close()
  rmSync(cacheDir, { recursive: true })
})

function headOf(changes: Partial<TransformerSpec['unembedding']> = {}, budget?: number): ReadoutHead {
  const changed = { ...spec, unembedding: { ...spec.unembedding, ...changes } }
  const head = new ReadoutHead({ spec: changed, weights, provider: 'cpu', lowering: allFused, budget })
  heads.push(head)
  return head
}

/** The residual rows as the session sees them, in float32, and their logits by the naive Llama. */
const logitsOf = (residuals: Tensor): Float64Array[] => rowsOf(residuals).map((row) => llama.logits(row))

describe('ReadoutHead.read', () => {
  it('lists the most probable tokens with logits and log-probabilities, and the entropy', async () => {
    const residuals = tensor(rows)
    const read = await headOf().read(residuals, { k: 3 })
    logitsOf(residuals).forEach((logits, row) => {
      const logProbs = logSoftmax(logits)
      const top = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, 3)
      expect([...read.topIds.subarray(row * 3, row * 3 + 3)]).toEqual(top)
      top.forEach((id, j) => {
        expect(read.topLogits[row * 3 + j]).toBeCloseTo(logits[id], 3)
        expect(read.topLogProbs[row * 3 + j]).toBeCloseTo(logProbs[id], 4)
      })
      const entropy = -logProbs.reduce((sum, l) => sum + Math.exp(l) * l, 0)
      expect(read.entropy[row]).toBeCloseTo(entropy, 4)
    })
    expect(read.targetRanks).toHaveLength(0)
  })

  it('ranks targets by how many logits are strictly greater', async () => {
    const residuals = tensor(rows)
    const ids = Int32Array.from(rows.flatMap((_, row) => [0, 657, (row * 97) % 1024, 1023]))
    const read = await headOf().read(residuals, { k: 0, targets: { ids, perRow: 4 } })
    logitsOf(residuals).forEach((logits, row) => {
      const logProbs = logSoftmax(logits)
      for (let j = 0; j < 4; j++) {
        const id = ids[row * 4 + j]
        expect(read.targetRanks[row * 4 + j]).toBe(logits.filter((x) => x > logits[id]).length)
        expect(read.targetLogits[row * 4 + j]).toBeCloseTo(logits[id], 3)
        expect(read.targetLogProbs[row * 4 + j]).toBeCloseTo(logProbs[id], 3)
      }
    })
    expect(read.topIds).toHaveLength(0)
  })

  it('gives the top token rank 0 and all tokens the ranks 0 to d_vocab − 1', async () => {
    const ids = Int32Array.from({ length: spec.vocab }, (_, id) => id)
    const read = await headOf().read(tensor([rows[4]]), { k: 1, targets: { ids, perRow: spec.vocab } })
    expect(read.targetRanks[read.topIds[0]]).toBe(0)
    expect([...read.targetRanks].sort((a, b) => a - b)).toEqual([...ids])
  })

  it('gives the same numbers however few rows fit at a time', async () => {
    const residuals = tensor(rows)
    const options = { k: 2, targets: { ids: new Int32Array(rows.length).fill(5), perRow: 1 } }
    const whole = await headOf().read(residuals, options)
    const single = await headOf({}, 1).read(residuals, options)
    expect([...single.topIds]).toEqual([...whole.topIds])
    expect([...single.targetRanks]).toEqual([...whole.targetRanks])
    single.topLogits.forEach((logit, i) => expect(logit).toBeCloseTo(whole.topLogits[i], 4))
    single.entropy.forEach((entropy, i) => expect(entropy).toBeCloseTo(whole.entropy[i], 5))
  })

  it('scales and caps logits as the model does', async () => {
    const residuals = tensor([rows[3]])
    const read = await headOf({ multiplier: 0.25, softcap: 3 }).read(residuals, { k: 1 })
    const capped = logitsOf(residuals)[0].map((x) => 3 * Math.tanh((0.25 * x) / 3))
    const logProbs = logSoftmax(capped)
    expect(read.topIds[0]).toBe(capped.indexOf(Math.max(...capped)))
    expect(read.topLogits[0]).toBeCloseTo(Math.max(...capped), 4)
    expect(read.topLogProbs[0]).toBeCloseTo(Math.max(...logProbs), 4)
  })

  it('reads nothing out of no rows', async () => {
    const read = await headOf().read({ shape: [0, width], data: new Float32Array(0) }, { k: 5 })
    expect(read).toMatchObject({ topIds: new Int32Array(0), entropy: new Float32Array(0) })
  })

  it('refuses rows of another width, impossible counts and tokens outside of the vocabulary', async () => {
    const head = headOf()
    const one = tensor([rows[0]])
    const refused = { code: 'input.invalid' }
    await expect(head.read({ shape: [2, 64], data: one.data }, { k: 1 })).rejects.toMatchObject(refused)
    await expect(head.read(one, { k: 1025 })).rejects.toMatchObject(refused)
    for (const id of [-1, 1024])
      await expect(
        head.read(one, { k: 1, targets: { ids: Int32Array.of(id), perRow: 1 } }),
      ).rejects.toMatchObject(refused)
    await expect(
      head.read(one, { k: 1, targets: { ids: Int32Array.of(1), perRow: 2 } }),
    ).rejects.toMatchObject(refused)
  })

  it('stops between chunks when it is cancelled', async () => {
    const reading = headOf({}, 1).read(tensor(rows), { k: 1, signal: AbortSignal.abort() })
    await expect(reading).rejects.toMatchObject({ code: 'run.cancelled' })
  })
})

describe('ReadoutHead.divergence', () => {
  it('is KL(p ‖ q), row by row', async () => {
    const p = tensor(rows)
    const q = tensor(rows.map((_, i) => rows[(i + 5) % rows.length]))
    const [left, right] = [logitsOf(p), logitsOf(q)]
    for (const budget of [undefined, 1]) {
      const kl = await headOf({}, budget).divergence(p, q)
      kl.forEach((value, i) => {
        const expected = klOf(logSoftmax(left[i]), logSoftmax(right[i]))
        expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-4 + 1e-4 * expected)
      })
    }
  })

  it('is 0 between a row and itself, and never negative', async () => {
    const p = tensor(rows)
    expect([...(await headOf().divergence(p, p))]).toEqual(rows.map(() => 0))
    const near = tensor(rows.map((row) => row.map((x, i) => x * (1 + (i % 2 === 0 ? 1e-6 : -1e-6)))))
    for (const value of await headOf().divergence(p, near)) expect(value).toBeGreaterThanOrEqual(0)
  })

  it('refuses lists of different length', async () => {
    await expect(headOf().divergence(tensor(rows), tensor([rows[0]]))).rejects.toMatchObject({
      code: 'input.invalid',
    })
  })
})
