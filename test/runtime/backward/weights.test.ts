/** Gradients of parameters, in the checkpoint's own layout, against finite differences of checkpoints that differ in one. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCheckpoint, type Checkpoint } from '../../../main/models/formats/checkpoint'
import { weightsOf } from '../../../main/models/spec'
import { weight, reshaped, permuted, sliced, applySteps, unpermuted } from '../../../main/models/weights'
import { addStored } from '../../../main/runtime/backward/weights'
import { inputOf, wave } from '../../support/finite-difference'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const folder = path.join(import.meta.dirname, '../../reference/cases/architectures')
const metric = { kind: 'cross-entropy' as const }
const rows = [
  [5, 17, 99, 23, 42, 7],
  [88, 3, 61],
]
const STEP = 2e-3

// Tied and untied heads, transposed and fused matrices, norms stored as an offset, experts, norms of the embedding.
describe.each(['llama', 'gpt2', 'gemma', 'gpt_neox', 'qwen3_moe', 'bloom'])('gradients of %s', (name) => {
  const location = path.join(folder, name)
  let scratch: string
  let model: ReferenceModel
  let checkpoint: Checkpoint
  beforeAll(async () => {
    scratch = mkdtempSync(path.join(tmpdir(), 'patchbay-weights-'))
    model = await openReferenceModel(location)
    checkpoint = await openCheckpoint(location)
  })
  afterAll(async () => {
    await model.close()
    await checkpoint.close()
    rmSync(scratch, { recursive: true, force: true })
  })

  it('are the slopes of the metric in every kind of parameter', { timeout: 120_000 }, async () => {
    const tensors = new Set(weightsOf(model.spec).map(({ tensor }) => tensor))
    // One of each kind: those of block 1, and those outside of blocks.
    const parameters = [...tensors].filter((tensor) => !/\.0\./.test(tensor.replace(/experts\.\d+/, '')))
    expect(parameters.length).toBeGreaterThan(5)
    const result = await model.run(inputOf(model, { rows, backward: { metric, weights: parameters } }))
    const wrong: Record<string, unknown> = {}
    for (const parameter of parameters) {
      const { shape, data } = result.weightGradients[parameter]
      expect(shape).toEqual(checkpoint.tensors.get(parameter)?.shape)
      const direction = wave(data.length, 2, 0.5)
      const gradient = direction.reduce((sum, u, i) => sum + u * data[i], 0)
      const difference =
        ((await metricWith(parameter, direction, STEP)) - (await metricWith(parameter, direction, -STEP))) /
        (2 * STEP)
      if (!(Math.abs(gradient - difference) < 0.03 * Math.max(0.1, Math.abs(difference))))
        wrong[parameter] = { gradient, difference }
    }
    expect(wrong).toEqual({})
  })

  /** The metric of a checkpoint in which a parameter is moved. */
  async function metricWith(parameter: string, direction: Float32Array, step: number): Promise<number> {
    const entry = checkpoint.tensors.get(parameter)
    if (entry?.storage !== 'F32') throw new Error(`${parameter} is no float32 tensor`)
    const copy = path.join(scratch, 'model')
    rmSync(copy, { recursive: true, force: true })
    cpSync(location, copy, { recursive: true })
    const file = path.join(copy, path.basename(entry.file))
    const bytes = readFileSync(file)
    direction.forEach((u, i) => {
      const at = entry.offset + 4 * i
      bytes.writeFloatLE(bytes.readFloatLE(at) + step * u, at)
    })
    writeFileSync(file, bytes)
    const moved = await openReferenceModel(copy)
    const { metric: values } = await moved.run(inputOf(moved, { rows, backward: { metric } }))
    await moved.close()
    return Array.from(values?.data ?? []).reduce((a, b) => a + b, 0)
  }
})

describe('the gradient of a stored tensor', () => {
  it.each([
    ['as it lies', weight('w', 4, 6)],
    ['cut with a stride', sliced(weight('w', 4, 6), 1, 1, 6, 2)],
    ['reordered', permuted(reshaped(weight('w', 4, 6), 2, 2, 6), 2, 0, 1)],
    ['reordered as GGUF has it', unpermuted(weight('w', 8, 3), 2)],
    ['cut, reordered and cut again', sliced(permuted(sliced(weight('w', 4, 6), 0, 1, 4), 1, 0), 0, 2, 5)],
  ])('is the adjoint of how the weight is read: %s', (_, part) => {
    const size = part.stored.reduce((a, b) => a * b, 1)
    const stored = wave(size, 1)
    const read = applySteps(part, stored)
    const gradient = wave(read.length, 2)
    const back = new Float32Array(size)
    addStored(part, gradient, back)
    const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i], 0)
    expect(dot(stored, back)).toBeCloseTo(dot(read, gradient), 5)
  })
})
