import { beforeAll, describe, expect, it } from 'vitest'
import { lensCell, lensMap } from '../../main/analysis/lens'
import { nextTokens } from '../../main/analysis/next-tokens'
import { requestHash } from '../../main/cache/key'
import {
  lensMap as lensMapSchema,
  lensCell as lensCellSchema,
  nextTokens as nextTokensSchema,
  type LensMap,
} from '../../preload/views'
import { NaiveLlama } from './naive-llama'
import { lensPoints, logSoftmax, NaiveModel, storyworld } from './naive-model'

const model = new NaiveModel()
const tokens = model.ids('When Mary and John went to the store, John gave a drink to')
const last = tokens.length - 1
const points = lensPoints(model)

/** The residual stream at every point, straight from the naive forward pass. */
const llama = new NaiveLlama(storyworld)
const streams = new Map<string, Float64Array[]>()
llama.forward(tokens, (hook, rows) =>
  streams.set(
    hook,
    rows.map((row) => row.slice()),
  ),
)
const logProbsAt = (point: number, position: number): Float64Array =>
  logSoftmax(llama.logits((streams.get(points[point]) ?? [])[position]))

describe('lensMap', () => {
  let map: LensMap
  beforeAll(async () => {
    map = await lensMap(model, tokens)
  })

  it('fits the contract', () => {
    expect(lensMapSchema.safeParse(map).error).toBeUndefined()
  })

  it('reads every block’s input and the last output', () => {
    expect(map.points).toEqual(points)
    expect(map.topIds.shape).toEqual([5, tokens.length])
  })

  it('shows top token, probability, entropy, and rank and probability of the final prediction', () => {
    for (const point of [0, 2, 4])
      for (const position of [0, 5, last]) {
        const cell = point * tokens.length + position
        const logProbs = logProbsAt(point, position)
        const final = logProbsAt(4, position)
        const answer = final.indexOf(Math.max(...final))
        expect(map.topIds.data[cell]).toBe(logProbs.indexOf(Math.max(...logProbs)))
        expect(map.topProbabilities.data[cell]).toBeCloseTo(Math.exp(Math.max(...logProbs)), 5)
        expect(map.entropies.data[cell]).toBeCloseTo(
          -logProbs.reduce((sum, l) => sum + Math.exp(l) * l, 0),
          4,
        )
        expect(map.finalRanks.data[cell]).toBe(logProbs.filter((l) => l > logProbs[answer]).length)
        expect(map.finalProbabilities.data[cell]).toBeCloseTo(Math.exp(logProbs[answer]), 5)
      }
  })

  it('ends with the model’s own prediction, rank 0 everywhere', () => {
    const row = map.finalRanks.data.slice(4 * tokens.length)
    expect([...row]).toEqual(tokens.map(() => 0))
    expect(map.tokens[map.topIds.data[4 * tokens.length + last]].text).toBe(' Mary')
  })

  it('explains every token that it names', () => {
    for (const id of [...map.topIds.data, ...tokens]) expect(map.tokens[id].id).toBe(id)
  })

  it('carries a request whose hash is that of its provenance', () => {
    expect(map.evidence.request.captures).toEqual(points)
    expect(map.evidence.provenance).toMatchObject({ fingerprint: model.facts.fingerprint, provider: 'cpu' })
    expect(map.evidence.provenance.requestHash).toBe(
      requestHash({ request: map.evidence.request, tensors: {} }),
    )
  })
})

describe('lensCell', () => {
  it('follows the top tokens of one cell over all points', async () => {
    const cell = await lensCell(model, tokens, { point: 3, position: last, count: 4 })
    expect(lensCellSchema.safeParse(cell).error).toBeUndefined()
    const here = logProbsAt(3, last)
    const ids = [...here.keys()].sort((a, b) => here[b] - here[a]).slice(0, 4)
    expect(cell.top.map(({ id }) => id)).toEqual(ids)
    expect(cell.ranks.shape).toEqual([4, 5])
    ids.forEach((id, candidate) =>
      points.forEach((_, point) => {
        const logProbs = logProbsAt(point, last)
        expect(cell.ranks.data[candidate * 5 + point]).toBe(logProbs.filter((l) => l > logProbs[id]).length)
        expect(cell.probabilities.data[candidate * 5 + point]).toBeCloseTo(Math.exp(logProbs[id]), 5)
      }),
    )
    expect(cell.top[1].probability).toBeCloseTo(Math.exp(here[ids[1]]), 5)
  })

  it('refuses a point or a position that is not there', async () => {
    for (const cell of [
      { point: 5, position: 0, count: 1 },
      { point: 0, position: tokens.length, count: 1 },
    ])
      await expect(lensCell(model, tokens, cell)).rejects.toMatchObject({ code: 'input.invalid' })
  })

  it('offers no more tokens than there are', async () => {
    const { top } = await lensCell(model, tokens, { point: 0, position: 0, count: 5000 })
    expect(top).toHaveLength(model.facts.vocab)
  })
})

describe('nextTokens', () => {
  it('gives the distribution after a position', async () => {
    const next = await nextTokens(model, tokens, { position: last, count: 3 })
    expect(nextTokensSchema.safeParse(next).error).toBeUndefined()
    const logProbs = logProbsAt(4, last)
    expect(next.top[0].text).toBe(' Mary')
    expect(next.top.map(({ probability }) => probability)).toEqual(
      next.top.map(({ id }) => expect.closeTo(Math.exp(logProbs[id]), 6) as number),
    )
    expect(next.entropy).toBeCloseTo(-logProbs.reduce((sum, l) => sum + Math.exp(l) * l, 0), 5)
    const logits = llama.logits((streams.get(points[4]) ?? [])[last])
    expect(next.top[0].logit).toBeCloseTo(logits[next.top[0].id], 3)
  })

  it('refuses a position behind the prompt', async () => {
    await expect(nextTokens(model, tokens, { position: tokens.length, count: 1 })).rejects.toMatchObject({
      code: 'input.invalid',
      field: 'position',
    })
  })
})
