import { describe, expect, it } from 'vitest'
import { meanDifference, type EncodedPair } from '../../main/steering/vectors'
import { NaiveLlama } from '../analysis/naive-llama'
import { NaiveModel, storyworld } from '../analysis/naive-model'

const model = new NaiveModel()
const llama = new NaiveLlama(storyworld)
const text = (words: string, skip = 0) => ({ tokens: model.ids(words), skip })
const pairs: EncodedPair[] = [
  { positive: text('I loved it.'), negative: text('I hated it. Everyone left.') },
  { positive: text('The film was great.'), negative: text('The film was boring.') },
  { positive: text('It was lovely'), negative: text('It was awful') },
]
const hook = 'blocks.1.hook_resid_post'

/** The residual stream of a text at the hook point, one position after the other. */
function streamOf(tokens: readonly number[]): Float64Array[] {
  let stream: Float64Array[] = []
  llama.forward(tokens, (name, rows) => {
    if (name === hook) stream = rows.map((row) => row.slice())
  })
  return stream
}
const mean = (vectors: Float64Array[]): Float64Array =>
  vectors[0].map((_, d) => vectors.reduce((sum, vector) => sum + vector[d], 0) / vectors.length)
const difference = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, d) => x - b[d])
const lastOf = (stream: Float64Array[]): Float64Array => stream[stream.length - 1]
const norm = (vector: ArrayLike<number>): number => Math.hypot(...Array.from(vector))

describe('meanDifference', () => {
  it('is the mean of the positive activations less that of the negative ones, at the last token', async () => {
    const last = (side: 'positive' | 'negative') =>
      mean(pairs.map((pair) => lastOf(streamOf(pair[side].tokens))))
    const expected = difference(last('positive'), last('negative'))
    const made = await meanDifference(model, hook, pairs, 'last')
    made.vector.forEach((x, d) => expect(x).toBeCloseTo(expected[d], 4))
    expect(made.norm).toBeCloseTo(norm(expected), 4)
  })

  it('averages over tokens but the skipped ones, whatever the length of the texts and the padding', async () => {
    const skipping = pairs.map(({ positive, negative }) => ({
      positive: { ...positive, skip: 1 },
      negative: { ...negative, skip: 1 },
    }))
    const side = (key: 'positive' | 'negative') =>
      mean(pairs.map((pair) => mean(streamOf(pair[key].tokens).slice(1))))
    const expected = difference(side('positive'), side('negative'))
    const made = await meanDifference(model, hook, skipping, 'mean')
    made.vector.forEach((x, d) => expect(x).toBeCloseTo(expected[d], 4))
  })

  it('measures the residual stream’s mean length over all tokens of all texts but the skipped', async () => {
    const lengths = pairs
      .flatMap((pair) => [pair.positive, pair.negative])
      .flatMap(({ tokens }) => streamOf(tokens).map(norm))
    const made = await meanDifference(model, hook, pairs, 'last')
    expect(made.residualNorm).toBeCloseTo(lengths.reduce((a, b) => a + b) / lengths.length, 4)
  })

  it('says how far each side lies along the direction, and how well they separate', async () => {
    const made = await meanDifference(model, hook, pairs, 'last')
    pairs.forEach((pair, i) => {
      const activation = lastOf(streamOf(pair.positive.tokens))
      const projection = activation.reduce((sum, x, d) => sum + (x * made.vector[d]) / made.norm, 0)
      expect(made.positive[i]).toBeCloseTo(projection, 3)
    })
    const apart = made.positive.map((p, i) => p - made.negative[i])
    // The mean of the differences along v̂ is the length of v itself.
    expect(apart.reduce((a, b) => a + b) / apart.length).toBeCloseTo(made.norm, 4)
    expect(made.accuracy).toBe(apart.filter((d) => d > 0).length / apart.length)
  })

  it('turns around with the pairs', async () => {
    const swapped = pairs.map(({ positive, negative }) => ({ positive: negative, negative: positive }))
    const [forth, back] = [
      await meanDifference(model, hook, pairs, 'mean'),
      await meanDifference(model, hook, swapped, 'mean'),
    ]
    back.vector.forEach((x, d) => expect(x).toBeCloseTo(-forth.vector[d], 6))
  })

  it('runs no further than it must, counts pairs, and stops when cancelled', async () => {
    const before = model.requests.length
    const seen: number[] = []
    await meanDifference(model, hook, pairs, 'last', { onPairs: (done) => seen.push(done) })
    for (const request of model.requests.slice(before))
      expect(request).toMatchObject({ stopLayer: 2, logits: 'none', captures: [hook] })
    expect(seen.at(-1)).toBe(pairs.length)
    await expect(
      meanDifference(model, hook, pairs, 'last', { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'run.cancelled' })
  })

  it('refuses places off the residual stream, no pairs, and pairs that do not differ', async () => {
    const same = [{ positive: text('a b'), negative: text('a b') }]
    await expect(meanDifference(model, 'blocks.1.attn.hook_z', pairs, 'last')).rejects.toMatchObject({
      code: 'hook.unavailable',
    })
    await expect(meanDifference(model, 'blocks.9.hook_resid_pre', pairs, 'last')).rejects.toMatchObject({
      code: 'hook.unavailable',
    })
    await expect(meanDifference(model, hook, [], 'last')).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(meanDifference(model, hook, same, 'last')).rejects.toMatchObject({
      code: 'input.invalid',
      field: 'pairs',
    })
  })
})
