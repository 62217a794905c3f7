import { beforeAll, describe, expect, it } from 'vitest'
import { align } from '../../preload/align'
import { compareAttention, comparePrompts } from '../../main/analysis/compare'
import type { Tensor } from '../../preload/tensor'
import { attentionComparison, comparison as schema, type Comparison } from '../../preload/views'
import { NaiveLlama } from './naive-llama'
import { klOf, lensPoints, logSoftmax, NaiveModel, storyworld } from './naive-model'

const model = new NaiveModel()
const left = model.ids('I watched the film last night. The acting was wonderful. I')
const right = model.ids('I watched the film. The acting was terrible. I')
const pairs = align(left, right)
const llama = new NaiveLlama(storyworld)
const streamsOf = (tokens: number[]) => {
  const streams = new Map<string, Float64Array[]>()
  llama.forward(tokens, (hook, rows) =>
    streams.set(
      hook,
      rows.map((row) => row.slice()),
    ),
  )
  return lensPoints(model).map((point) => streams.get(point) ?? [])
}

describe('comparePrompts', () => {
  let result: Comparison
  beforeAll(async () => {
    result = await comparePrompts(model, left, right)
  })

  it('fits the contract and aligns prompts of different length', () => {
    expect(schema.safeParse(result).error).toBeUndefined()
    expect(left.length).not.toBe(right.length)
    expect(result.alignment).toEqual(pairs)
  })

  it('gives cosine and KL at every point and aligned pair, NaN where a side is missing', () => {
    const [a, b] = [streamsOf(left), streamsOf(right)]
    pairs.forEach((pair, i) => {
      for (const point of [0, 4]) {
        const cell = point * pairs.length + i
        if (pair.left === null || pair.right === null) {
          expect(result.cosines.data[cell]).toBeNaN()
          expect(result.divergences.data[cell]).toBeNaN()
          continue
        }
        const [p, q] = [a[point][pair.left], b[point][pair.right]]
        const product = p.reduce((sum, x, d) => sum + x * q[d], 0)
        expect(result.cosines.data[cell]).toBeCloseTo(product / (Math.hypot(...p) * Math.hypot(...q)), 5)
        expect(result.divergences.data[cell]).toBeCloseTo(
          klOf(logSoftmax(llama.logits(p)), logSoftmax(llama.logits(q))),
          4,
        )
      }
    })
    expect(pairs.some((pair) => pair.right === null)).toBe(true)
  })

  it('finds no difference before the prompts part', () => {
    for (let point = 0; point < 5; point++) {
      expect(result.cosines.data[point * pairs.length]).toBeCloseTo(1, 6)
      expect(result.divergences.data[point * pairs.length]).toBeCloseTo(0, 6)
    }
  })

  it('gives the norms of both residual streams', () => {
    expect(result.leftNorms.shape).toEqual([5, left.length])
    expect(result.rightNorms.data[4 * right.length + 2]).toBeCloseTo(Math.hypot(...streamsOf(right)[4][2]), 3)
  })

  it('lists the tokens whose probability moves most, largest first', () => {
    const last = (tokens: number[]) => logSoftmax(llama.logits(streamsOf(tokens)[4][tokens.length - 1]))
    const [p, q] = [last(left), last(right)]
    const moves = Array.from(p, (l, id) => Math.abs(Math.exp(q[id]) - Math.exp(l)))
    const most = moves.indexOf(Math.max(...moves))
    expect(result.movers[0]).toMatchObject({ id: most })
    expect(result.movers[0].leftProbability).toBeCloseTo(Math.exp(p[most]), 5)
    expect(result.movers[0].rightProbability).toBeCloseTo(Math.exp(q[most]), 5)
    const shown = result.movers.map((mover) => Math.abs(mover.rightProbability - mover.leftProbability))
    expect(shown).toEqual([...shown].sort((a, b) => b - a))
  })

  it('reads out only where the prompts differ', async () => {
    const asked: number[] = []
    const counting = Object.assign(new NaiveModel(), {
      divergence: (p: Tensor, q: Tensor) => {
        asked.push(p.shape[0])
        return model.divergence(p, q)
      },
    })
    const changed = 9
    const swapped = left.map((id, i) => (i === changed ? id + 1 : id))
    await comparePrompts(counting, left, swapped)
    // The token at the change differs at all five points; the positions behind it from block 1 on, which read it.
    expect(asked).toEqual([5 + 4 * (left.length - 1 - changed)])
  })

  it('finds nothing between a prompt and itself', async () => {
    const same = await comparePrompts(model, left, left)
    expect(Math.max(...same.divergences.data)).toBeLessThan(1e-9)
    expect(Math.min(...same.cosines.data)).toBeGreaterThan(1 - 1e-6)
    expect(same.left).toEqual(same.right)
  })
})

describe('compareAttention', () => {
  it('subtracts patterns over aligned positions', async () => {
    const result = await compareAttention(model, left, right, 1)
    expect(attentionComparison.safeParse(result).error).toBeUndefined()
    const size = pairs.length
    expect(result.difference.shape).toEqual([4, size, size])
    const at = (side: 'left' | 'right', head: number, q: number, k: number) =>
      result[side].data[(head * result[side].shape[1] + q) * result[side].shape[2] + k]
    pairs.forEach((query, q) =>
      pairs.forEach((key, k) => {
        const difference = result.difference.data[(3 * size + q) * size + k]
        const complete =
          query.left !== null && query.right !== null && key.left !== null && key.right !== null
        if (!complete) expect(difference).toBeNaN()
        else
          expect(difference).toBe(
            Math.fround(
              at('right', 3, query.right ?? 0, key.right ?? 0) -
                at('left', 3, query.left ?? 0, key.left ?? 0),
            ),
          )
      }),
    )
  })
})
