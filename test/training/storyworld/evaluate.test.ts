/** The embedded model answers what its tasks.json says it answers. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSpec } from '../../../main/models/architectures/registry'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { loadTokenizerFromFolder, type Tokenizer } from '../../../main/models/tokenizer'
import { TrainableModel } from '../../../main/training/language-model/model'
import { parametersOf } from '../../../main/training/language-model/parameters'
import { evaluateStoryworld } from '../../../main/training/storyworld/evaluate'
import { storyworld } from '../support'

let model: TrainableModel
let tokenizer: Tokenizer
beforeAll(async () => {
  const checkpoint = await openCheckpoint(storyworld)
  const spec = await readSpec(checkpoint)
  model = await TrainableModel.create(spec, await parametersOf(spec, checkpoint))
  await checkpoint.close()
  tokenizer = await loadTokenizerFromFolder(storyworld)
})
afterAll(async () => {
  await model.release()
  await tokenizer.close()
})

describe('the evaluation of storyworld', () => {
  it('finds in the embedded model what its tasks.json says', async () => {
    const { accuracy: expected } = JSON.parse(readFileSync(path.join(storyworld, 'tasks.json'), 'utf8')) as {
      accuracy: Record<string, number>
    }
    const accuracy = await evaluateStoryworld(
      (rows) => model.nextLogits(rows),
      (text) => tokenizer.encode(text),
      100,
    )
    expect(Object.keys(accuracy)).toEqual(Object.keys(expected))
    for (const [family, value] of Object.entries(accuracy)) {
      if (expected[family] === 1) expect([family, value]).toEqual([family, 1])
      else expect(Math.abs(value - expected[family])).toBeLessThan(0.15)
    }
  })

  it('finds next to nothing in a model that prefers the first of all tokens', async () => {
    const silent = async (rows: readonly unknown[]) =>
      rows.map(() => Float32Array.from({ length: 1024 }, (_, i) => -i))
    const accuracy = await evaluateStoryworld(silent, (text) => tokenizer.encode(text), 10)
    expect(accuracy['capitals (top-1)']).toBe(0)
    expect(accuracy['harmful refused'] + accuracy['harmless answered']).toBe(1)
  })
})
