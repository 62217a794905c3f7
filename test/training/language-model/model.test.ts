import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSpec } from '../../../main/models/architectures/registry'
import { llama } from '../../../main/models/architectures/llama'
import { gpt2 } from '../../../main/models/architectures/gpt2'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { TrainableModel, type TokenBatch } from '../../../main/training/language-model/model'
import { freshParameters, parametersOf } from '../../../main/training/language-model/parameters'
import { trainingGraph } from '../../../main/training/language-model/graph'
import type { Parameter } from '../../../main/training/optimiser/parameter'
import { SeededRandom } from '../../../main/training/random'
import { configOf, casesFolder } from '../../support/cases'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'
import { storyworld } from '../support'

const config: unknown = JSON.parse(readFileSync(path.join(storyworld, 'config.json'), 'utf8'))

function batchOf(rows: number, columns: number, vocab: number, seed = 3): TokenBatch {
  const random = new SeededRandom(seed)
  const ids = Int32Array.from({ length: rows * (columns + 1) }, () => random.integer(0, vocab - 1))
  return { rows, columns, ids }
}

describe('a small decoder with its weights as inputs', () => {
  let reference: ReferenceModel
  let model: TrainableModel
  beforeAll(async () => {
    reference = await openReferenceModel(storyworld)
    const checkpoint = await openCheckpoint(storyworld)
    model = await TrainableModel.create(reference.spec, await parametersOf(reference.spec, checkpoint))
    await checkpoint.close()
  })
  afterAll(async () => {
    await model.release()
    await reference.close()
  })

  it('computes the logits that the block stack computes, rows of any length together', async () => {
    const rows = [
      [0, 5, 9, 300, 17, 44],
      [0, 1001],
    ]
    const logits = await model.nextLogits(rows)
    for (const [i, row] of rows.entries()) {
      const { logits: expected } = await reference.stack.forward({
        start: { kind: 'tokens', rows: [row] },
        logits: 'last',
      })
      const data = expected?.data ?? new Float32Array()
      const worst = Math.max(...logits[i].map((value, j) => Math.abs(value - data[j])))
      expect(worst / Math.max(...data.map(Math.abs))).toBeLessThan(1e-5)
    }
  })

  it('has the mean cross-entropy of the next tokens as its loss', async () => {
    const batch = batchOf(3, 7, 1024)
    const { loss } = await model.compute(batch)
    const { logits } = await reference.stack.forward({
      start: {
        kind: 'tokens',
        rows: [0, 1, 2].map((row) => [...batch.ids.subarray(row * 8, row * 8 + 7)]),
      },
      logits: 'all',
    })
    let expected = 0
    for (let row = 0; row < 3; row++)
      for (let column = 0; column < 7; column++) {
        const at = (row * 7 + column) * 1024
        const each = logits?.data.subarray(at, at + 1024) ?? new Float32Array()
        const top = Math.max(...each)
        const sum = each.reduce((total, value) => total + Math.exp(value - top), 0)
        expected += (top + Math.log(sum) - each[batch.ids[row * 8 + column + 1]]) / 21
      }
    expect(loss / expected).toBeCloseTo(1, 5)
  })
})

const spec = llama.read(
  {
    ...(config as object),
    hidden_size: 16,
    head_dim: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_hidden_layers: 2,
    intermediate_size: 24,
    vocab_size: 40,
  },
  new Map(),
)

describe('the gradient of a small decoder', () => {
  const parameters: Parameter[] = freshParameters(spec, new SeededRandom(5), 0.3)
  let model: TrainableModel
  beforeAll(async () => {
    model = await TrainableModel.create(spec, parameters)
  })
  afterAll(() => model.release())

  // One tied table, nine weights in each of two blocks, the final norm.
  it.each(parameters.map(({ name }) => name))('by %s is what the loss changes by', async (name) => {
    const batch = batchOf(4, 6, 40)
    const { gradients } = await model.compute(batch)
    const gradient = gradients.get(name) ?? new Float32Array()
    const { data } = parameters.find((parameter) => parameter.name === name) ?? { data: new Float32Array() }
    expect(gradient).toHaveLength(data.length)
    const squared = gradient.reduce((sum, g) => sum + g * g, 0)
    expect(squared).toBeGreaterThan(0)
    // Along the gradient the loss changes by its squared norm; a step that changes it by some 2 % of a nat.
    const step = 0.02 / squared
    const before = data.slice()
    const lossAt = async (sign: number): Promise<number> => {
      data.forEach((_, i) => (data[i] = before[i] + sign * step * gradient[i]))
      return (await model.compute(batch)).loss
    }
    // Symmetric differences of two sizes, extrapolated to none (Richardson).
    const slope = async (part: number): Promise<number> =>
      ((await lossAt(part)) - (await lossAt(-part))) / (2 * part * step)
    const extrapolated = (4 * (await slope(0.5)) - (await slope(1))) / 3
    data.set(before)
    expect(extrapolated / squared).toBeCloseTo(1, 2)
  })

  it('is the same, bit for bit, when it is computed again', async () => {
    const batch = batchOf(4, 6, 40)
    const [first, second] = [await model.compute(batch), await model.compute(batch)]
    expect(second.loss).toBe(first.loss)
    expect([...second.gradients]).toEqual([...first.gradients])
  })
})

describe('what is trained', () => {
  it('has the names and shapes that the embedded model’s file has', async () => {
    const checkpoint = await openCheckpoint(storyworld)
    const fresh = freshParameters(llama.read(config, new Map()), new SeededRandom(1))
    const there = [...checkpoint.tensors.values()].map(({ name, shape }) => `${name} ${shape.join()}`)
    await checkpoint.close()
    expect(fresh.map(({ name, shape }) => `${name} ${shape.join()}`).sort()).toEqual(there.sort())
  })

  it('begins as Hugging Face begins: matrices normal, norms 1', () => {
    const fresh = freshParameters(spec, new SeededRandom(1), 0.02)
    for (const { shape, data } of fresh) {
      const deviation = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length)
      if (shape.length === 1) expect(new Set(data)).toEqual(new Set([1]))
      else expect(deviation / 0.02).toBeCloseTo(1, 0)
    }
  })

  it('is refused where weights are parts of a stored tensor, naming one', async () => {
    const folder = path.join(casesFolder, 'architectures/phi3')
    const checkpoint = await openCheckpoint(folder)
    const phi3 = await readSpec(checkpoint)
    await checkpoint.close()
    expect(() => trainingGraph(phi3)).toThrow(/is a part of a tensor/)
  })

  it('may be another family, with learned positions', async () => {
    const other = gpt2.read(configOf(path.join(casesFolder, 'architectures/gpt2')), new Map())
    const parameters = freshParameters(other, new SeededRandom(2))
    const model = await TrainableModel.create(other, parameters)
    const { loss, gradients } = await model.compute(batchOf(2, 5, other.vocab))
    await model.release()
    expect(loss / Math.log(other.vocab)).toBeCloseTo(1, 1)
    expect(gradients.size).toBe(parameters.length)
  })
})
