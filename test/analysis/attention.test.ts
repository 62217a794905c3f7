import { describe, expect, it } from 'vitest'
import { attentionLayer, attentionOverview, headScores, thumbnail } from '../../main/analysis/attention'
import { attentionLayer as layerSchema, attentionOverview as overviewSchema } from '../../preload/views'
import { NaiveLlama } from './naive-llama'
import { NaiveModel, storyworld } from './naive-model'

const model = new NaiveModel()
const tokens = model.ids('lamp key hat coin lamp key')
const patterns = new Map<string, Float64Array[]>()
new NaiveLlama(storyworld).forward(tokens, (hook, rows) =>
  patterns.set(
    hook,
    rows.map((row) => row.slice()),
  ),
)

describe('attentionLayer', () => {
  it('gives the patterns of all heads, whose rows sum to 1', async () => {
    const { patterns: given, ...rest } = await attentionLayer(model, tokens, 2)
    expect(layerSchema.safeParse({ patterns: given, ...rest }).error).toBeUndefined()
    expect(given.shape).toEqual([4, tokens.length, tokens.length])
    const expected = patterns.get('blocks.2.attn.hook_pattern') ?? []
    expected.forEach((row, i) => {
      const shown = given.data.subarray(i * tokens.length, (i + 1) * tokens.length)
      expect(shown.reduce((a, b) => a + b)).toBeCloseTo(1, 6)
      row.forEach((p, k) => expect(shown[k]).toBeCloseTo(p, 6))
    })
  })

  it('refuses a layer that the model does not have', async () => {
    await expect(attentionLayer(model, tokens, 4)).rejects.toMatchObject({
      code: 'input.invalid',
      field: 'layer',
    })
  })
})

describe('attentionOverview', () => {
  it('shows each head at full size where it fits, with its scores', async () => {
    const overview = await attentionOverview(model, tokens, 24)
    expect(overviewSchema.safeParse(overview).error).toBeUndefined()
    const n = tokens.length
    expect(overview.thumbnails.shape).toEqual([4, 4, n, n])
    const head = 2 * 4 + 1
    const rows = (patterns.get('blocks.2.attn.hook_pattern') ?? []).slice(n, 2 * n)
    expect([...overview.thumbnails.data.slice(head * n * n, (head + 1) * n * n)]).toEqual(
      rows.flatMap((row) => [...row].map((p) => expect.closeTo(p, 6) as number)),
    )
    const mean = (values: number[]): number => values.reduce((a, b) => a + b) / values.length
    expect(overview.toFirst.data[head]).toBeCloseTo(mean(rows.slice(1).map((row) => row[0])), 6)
    expect(overview.toPrevious.data[head]).toBeCloseTo(mean(rows.slice(1).map((row, i) => row[i])), 6)
    const entropy = (row: Float64Array): number =>
      -row.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0)
    expect(overview.entropy.data[head]).toBeCloseTo(mean(rows.map(entropy)), 5)
  })

  it('gives the same where the patterns do not fit into one run', async () => {
    const whole = await attentionOverview(model, tokens, 4)
    const before = model.requests.length
    const layerBytes = 4 * tokens.length ** 2 * 4
    const parts = await attentionOverview(model, tokens, 4, {}, 3 * layerBytes)
    expect(
      model.requests.slice(before).map(({ captures, stopLayer }) => [captures.length, stopLayer]),
    ).toEqual([
      [3, 3],
      [1, undefined],
    ])
    expect(parts).toEqual(whole)
  })

  it('says NaN for scores that a single token can not have', async () => {
    const overview = await attentionOverview(model, tokens.slice(0, 1), 4)
    expect(overview.toFirst.data[0]).toBeNaN()
    expect(overview.toPrevious.data[0]).toBeNaN()
    expect(overview.entropy.data[0]).toBe(0)
    expect(overview.thumbnails.shape).toEqual([4, 4, 1, 1])
  })
})

describe('thumbnail', () => {
  it('averages the cells of each rectangle', () => {
    expect([...thumbnail(Float32Array.of(1, 3, 5, 7, 9, 11, 13, 15, 17), 3, 1)]).toEqual([9])
    // 3 into 2: positions 0 and 1 fall into the first cell, position 2 into the second.
    expect([...thumbnail(Float32Array.of(1, 3, 5, 7, 9, 11, 13, 15, 17), 3, 2)]).toEqual([5, 8, 14, 17])
  })
})

describe('headScores', () => {
  it('recognises a previous-token head and a first-token head', () => {
    const previous = Float32Array.of(1, 0, 0, 1, 0, 0, 0, 1, 0)
    expect(headScores(previous, 3)).toEqual({ toFirst: 0.5, toPrevious: 1, entropy: 0 })
    const uniform = Float32Array.of(1, 0, 0.5, 0.5)
    expect(headScores(uniform, 2).entropy).toBeCloseTo(Math.LN2 / 2, 12)
  })
})
