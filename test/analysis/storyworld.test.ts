/** Analysis on the real runtime, against the naive Llama and against what is known about storyworld's world. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { activationView } from '../../main/analysis/activation'
import { attentionLayer, attentionOverview } from '../../main/analysis/attention'
import { capture } from '../../main/analysis/captures'
import { comparePrompts } from '../../main/analysis/compare'
import { lensCell, lensMap } from '../../main/analysis/lens'
import { nextTokens } from '../../main/analysis/next-tokens'
import { compareGeneration } from '../../main/steering/compare-generation'
import { runRequest, sampling } from '../../preload/run'
import { comparison, lensMap as lensSchema } from '../../preload/views'
import { examplePreset } from '../steering/presets'
import { NaiveModel } from './naive-model'
import { RuntimeModel } from './runtime-model'

const naive = new NaiveModel()
const text = 'When Mary and John went to the store, John gave a drink to'
let model: RuntimeModel
let tokens: number[]
let last: number
beforeAll(async () => {
  model = await RuntimeModel.open()
  tokens = await model.ids(text)
  last = tokens.length - 1
})
afterAll(() => model.close())

/** Largest |a − b| over largest |b|. */
function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  let difference = 0
  let size = 0
  for (let i = 0; i < a.length; i++) {
    difference = Math.max(difference, Math.abs(a[i] - b[i]))
    size = Math.max(size, Math.abs(b[i]))
  }
  return difference / size
}

describe('the lens on storyworld', () => {
  it('agrees with the naive Llama at every point and position', async () => {
    const [map, expected] = [await lensMap(model, tokens), await lensMap(naive, tokens)]
    expect(lensSchema.safeParse(map).error).toBeUndefined()
    expect(map.points).toEqual(expected.points)
    expect([...map.topIds.data]).toEqual([...expected.topIds.data])
    expect(relativeError(map.topProbabilities.data, expected.topProbabilities.data)).toBeLessThan(5e-5)
    expect(relativeError(map.entropies.data, expected.entropies.data)).toBeLessThan(5e-5)
    expect(relativeError(map.finalProbabilities.data, expected.finalProbabilities.data)).toBeLessThan(5e-5)
    expect([...map.finalRanks.data]).toEqual([...expected.finalRanks.data])
  })

  it('ends in the model’s own logits', async () => {
    const request = runRequest.parse({ model: model.facts.fingerprint, rows: [tokens], logits: 'all' })
    const { logits } = await model.run({ request, tensors: {} })
    const map = await lensMap(model, tokens)
    const vocab = model.facts.vocab
    tokens.forEach((_, position) => {
      const row = (logits?.data ?? new Float32Array()).subarray(position * vocab, (position + 1) * vocab)
      expect(map.topIds.data[model.facts.layers * tokens.length + position]).toBe(
        row.indexOf(Math.max(...row)),
      )
    })
    const next = await nextTokens(model, tokens, { position: last, count: vocab })
    const row = (logits?.data ?? new Float32Array()).subarray(last * vocab)
    expect(
      relativeError(
        next.top.map(({ logit }) => logit),
        next.top.map(({ id }) => row[id]),
      ),
    ).toBeLessThan(5e-5)
  })

  it('finds that the drink goes to Mary, and only late', async () => {
    const cell = await lensCell(model, tokens, { point: 4, position: last, count: 5 })
    expect(cell.top[0].text).toBe(' Mary')
    expect(cell.top[0].probability).toBeGreaterThan(0.9)
    const probabilities = [...cell.probabilities.data.subarray(0, cell.points.length)]
    expect(probabilities[0]).toBeLessThan(0.01)
    expect(probabilities.indexOf(Math.max(...probabilities))).toBe(4)
  })
})

describe('attention on storyworld', () => {
  it('has rows that sum to 1 and never look ahead, as the naive Llama has them', async () => {
    for (let layer = 0; layer < 4; layer++) {
      const { patterns } = await attentionLayer(model, tokens, layer)
      const expected = await attentionLayer(naive, tokens, layer)
      expect(relativeError(patterns.data, expected.patterns.data)).toBeLessThan(5e-5)
      const n = tokens.length
      for (let row = 0; row < 4 * n; row++) {
        const p = patterns.data.subarray(row * n, (row + 1) * n)
        expect(p.reduce((a, b) => a + b)).toBeCloseTo(1, 5)
        expect(p.subarray((row % n) + 1).every((x) => x === 0)).toBe(true)
      }
    }
  })

  it('gives the same overview as the naive Llama', async () => {
    const [overview, expected] = [
      await attentionOverview(model, tokens, 8),
      await attentionOverview(naive, tokens, 8),
    ]
    for (const part of ['thumbnails', 'toFirst', 'toPrevious', 'entropy'] as const)
      expect(relativeError(overview[part].data, expected[part].data)).toBeLessThan(5e-5)
  })
})

describe('comparison on storyworld', () => {
  it('finds the swapped name and what follows from it', async () => {
    const swapped = await model.ids('When Mary and John went to the store, Mary gave a drink to')
    const result = await comparePrompts(model, tokens, swapped)
    expect(comparison.safeParse(result).error).toBeUndefined()
    const changed = result.alignment.findIndex(({ same }) => !same)
    expect(model.tokens([tokens[changed], swapped[changed]]).map(({ text: t }) => t)).toEqual([
      ' John',
      ' Mary',
    ])
    expect(
      result.movers
        .slice(0, 2)
        .map(({ text: t }) => t)
        .sort(),
    ).toEqual([' John', ' Mary'])
    const width = result.alignment.length
    for (let point = 0; point <= 4; point++) {
      const before = result.divergences.data.subarray(point * width, point * width + changed)
      expect(Math.max(...before)).toBeLessThan(1e-6)
    }
    expect(result.divergences.data[changed]).toBeGreaterThan(1)
    expect(result.divergences.data[4 * width + last]).toBeGreaterThan(1)
    const expected = await comparePrompts(naive, tokens, swapped)
    expect(relativeError(result.cosines.data, expected.cosines.data)).toBeLessThan(5e-5)
    expect(relativeError(result.divergences.data, expected.divergences.data)).toBeLessThan(5e-4)
  })
})

describe('activations on storyworld', () => {
  it('can be shown at every hook point that the model has', async () => {
    for (const hook of model.facts.hooks) {
      const view = await activationView(model, tokens, { hook, maxColumns: 64 })
      expect(view.rows * view.columns).toBe(view.shape.reduce((a, b) => a * b))
      expect(view.heatmap.data.length).toBe(view.heatmap.shape[0] * view.heatmap.shape[1])
      const masked = hook.endsWith('attn_scores') ? (4 * tokens.length * (tokens.length - 1)) / 2 : 0
      expect(view.statistics.notFinite).toBe(masked)
    }
  })

  it('are what the naive Llama computes, at every hook point that it has', async () => {
    const hooks = [...naive.facts.hooks]
    const [ours, theirs] = [await capture(model, tokens, hooks), await capture(naive, tokens, hooks)]
    hooks.forEach((_, i) => {
      expect(ours.activations[i].shape).toEqual(theirs.activations[i].shape)
      expect(relativeError(ours.activations[i].data, theirs.activations[i].data)).toBeLessThan(5e-5)
    })
  })
})

describe('views of one prompt', () => {
  it('share one forward pass where they open together, and none where they open again', async () => {
    const fresh = await model.ids('One day Emma went to the park.')
    const before = model.memory.statistics()
    const open = () =>
      Promise.all([
        lensMap(model, fresh),
        attentionLayer(model, fresh, 1),
        nextTokens(model, fresh, { position: 3, count: 5 }),
        activationView(model, fresh, { hook: 'blocks.0.mlp.hook_post', maxColumns: 64 }),
      ])
    const first = await open()
    expect(model.memory.statistics().misses - before.misses).toBe(1)
    const again = await open()
    expect(model.memory.statistics().misses - before.misses).toBe(1)
    expect(again).toEqual(first)
    await lensCell(model, fresh, { point: 2, position: 1, count: 3 })
    expect(model.memory.statistics().misses - before.misses).toBe(1)
  })
})

describe('steering on storyworld', () => {
  it('gives the tokens, log-probabilities and divergences of the naive Llama', async () => {
    const site = examplePreset().sites[0]
    const vector = { shape: [128], data: Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)) }
    const outcome = (
      of: RuntimeModel | NaiveModel,
      operation: 'add' | 'remove' | 'clamp',
      strength: number,
    ) => {
      const { fingerprint, tokenizerHash } = of.facts
      const made = { ...examplePreset().model, fingerprint, tokenizerHash }
      return compareGeneration(of, {
        prompt: { kind: 'text', text: 'One day Emma went to the park.', bos: 'model' },
        preset: examplePreset({ model: made, sites: [{ ...site, operation, target: 3 }] }),
        vectorOf: () => vector,
        strength,
        sampling: sampling.parse({}),
        maxTokens: 4,
        stop: [],
      })
    }
    for (const [operation, strength] of [
      ['add', 0.6],
      ['remove', 1],
      ['clamp', 2],
    ] as const) {
      const [ours, theirs] = [
        await outcome(model, operation, strength),
        await outcome(naive, operation, strength),
      ]
      expect(ours.steeredText).toBe(theirs.steeredText)
      expect(ours.baselineText).toBe(theirs.baselineText)
      const numbers = (result: typeof ours) =>
        result.steps.flatMap(({ baselineLogProb, steeredLogProb, divergence }) =>
          [baselineLogProb, steeredLogProb, divergence].map(Number),
        )
      expect(relativeError(numbers(ours), numbers(theirs))).toBeLessThan(2e-4)
    }
  })

  it('samples both rows with the same seed, so that strength 0 changes nothing', async () => {
    const { fingerprint, tokenizerHash } = model.facts
    const result = await compareGeneration(model, {
      prompt: { kind: 'text', text: 'One day Emma went to the park.', bos: 'model' },
      preset: examplePreset({ model: { ...examplePreset().model, fingerprint, tokenizerHash } }),
      vectorOf: () => ({ shape: [128], data: new Float32Array(128).fill(1) }),
      strength: 0,
      sampling: sampling.parse({ temperature: 1.2, seed: 5 }),
      maxTokens: 20,
      stop: [],
    })
    expect(result.steeredText).toBe(result.baselineText)
    expect(result.steps.every(({ divergence }) => divergence === 0)).toBe(true)
  })
})
