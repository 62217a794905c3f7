/** A sparse autoencoder of storyworld, from its own activations on its own corpus, to the loss that it recovers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizerFromFolder, type Tokenizer } from '../../../main/models/tokenizer'
import { Dictionary } from '../../../main/training/dictionary/dictionary'
import { dictionarySettings } from '../../../main/training/dictionary/settings'
import { lossRecovered } from '../../../main/training/dictionary/splice'
import { dictionaryStatistics } from '../../../main/training/dictionary/statistics'
import { trainDictionary } from '../../../main/training/dictionary/train'
import { modelActivations } from '../../../main/training/stream/from-model'
import { SeededRandom } from '../../../main/training/random'
import { document } from '../../../main/training/storyworld/corpus'
import { end } from '../../../main/training/storyworld/world'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'
import { storyworld } from '../support'

let model: ReferenceModel
let tokenizer: Tokenizer
beforeAll(async () => {
  model = await openReferenceModel(storyworld)
  tokenizer = await loadTokenizerFromFolder(storyworld)
})
afterAll(async () => {
  await model.close()
  await tokenizer.close()
})

/** `count` documents of a batch that its number stands for. */
async function texts(batch: number, count: number): Promise<number[][]> {
  const random = new SeededRandom(batch)
  return Promise.all(Array.from({ length: count }, () => tokenizer.encode(end + document(random).text)))
}
const hook = 'blocks.1.hook_resid_post'
const run = (input: Parameters<ReferenceModel['run']>[0]) => model.run(input)
const source = (from: number, batches: number, firstPosition = 1) =>
  modelActivations({
    run,
    model: model.fingerprint,
    hook,
    width: 128,
    output: null,
    firstPosition,
    texts: async function* (skip) {
      for (let batch = skip; batch < batches; batch++) yield texts(from + batch, 32)
    },
  })

describe('activations from a model', () => {
  it('are those of every real position, rows of different length together', async () => {
    const rows = [
      [0, 5, 9, 4],
      [0, 7],
    ]
    const both = modelActivations({
      run,
      model: model.fingerprint,
      hook,
      width: 128,
      output: { hook: 'blocks.1.attn.hook_z', width: 128 },
      firstPosition: 1,
      texts: () => [rows],
    })
    const chunks = []
    for await (const chunk of both.chunks(0)) chunks.push(chunk)
    expect(chunks).toHaveLength(1)
    const [{ rows: count, x, y }] = chunks
    expect([count, x.length, y?.length]).toEqual([4, 512, 512])
    const alone = await model.run({
      request: {
        version: 1,
        model: model.fingerprint,
        rows: [rows[1]],
        captures: [hook],
        interventions: [],
        logits: 'none',
      },
      tensors: {},
    })
    const expected = alone.captures[hook].data.subarray(128)
    x.subarray(384).forEach((value, i) => expect(value).toBeCloseTo(expected[i], 4))
  })

  it('train a sparse autoencoder that a model can be run through', async () => {
    const settings = dictionarySettings.parse({
      activation: 'topk',
      dSae: 384,
      k: 16,
      auxK: 64,
      deadAfter: 20_000,
      steps: 50,
      rows: 256,
      buffer: 4096,
      rate: 3e-3,
      warmUp: 10,
    })
    const provenance = {
      modelName: 'storyworld',
      fingerprint: model.fingerprint,
      hook,
      outputHook: null,
      prependBos: true,
    }
    const { dictionary } = await trainDictionary(source(0, 200), settings, provenance)
    const ready = await Dictionary.create(dictionary)
    const statistics = await dictionaryStatistics(ready, source(10_000, 4))
    expect(statistics.l0).toBeLessThanOrEqual(16)
    expect(statistics.explainedVariance).toBeGreaterThan(0.6)
    const rows = await texts(20_000, 16)
    const { recovered } = await lossRecovered({
      run,
      dictionary: ready,
      model: model.fingerprint,
      rows,
      firstPosition: 1,
    })
    await ready.release()
    expect(recovered).toBeGreaterThan(0.7)
    expect(recovered).toBeLessThan(1)
  })
})
