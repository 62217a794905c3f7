import { describe, expect, it } from 'vitest'
import { klDivergence, logSumExp } from '../../main/runtime/distribution'
import { Sampler } from '../../main/runtime/sampling'
import { sampling, type Sampling } from '../../preload/run'

const settings = (values: Partial<Sampling>): Sampling => sampling.parse(values)
const logits = Float32Array.of(1, 3, 2, -1, 0.5)
const softmax = (x: Float32Array): number[] => Array.from(x, (logit) => Math.exp(logit - logSumExp(x)))

/** Share of each token in many draws. */
function shares(values: Partial<Sampling>, draws = 20_000, seen: number[] = []): number[] {
  const sampler = new Sampler(settings(values))
  const counts = new Array<number>(logits.length).fill(0)
  for (let i = 0; i < draws; i++) counts[sampler.next(logits, seen)]++
  return counts.map((count) => count / draws)
}

const renormalised = (probabilities: number[], kept: number[]): number[] => {
  const sum = kept.reduce((total, token) => total + probabilities[token], 0)
  return probabilities.map((p, token) => (kept.includes(token) ? p / sum : 0))
}

function expectShares(got: number[], want: number[]): void {
  got.forEach((share, token) => {
    expect(Math.abs(share - want[token])).toBeLessThan(0.015)
    if (want[token] === 0) expect(share).toBe(0)
  })
}

describe('sampling', () => {
  it('is greedy at temperature 0, the first of equals', () => {
    expect(new Sampler(settings({})).next(Float32Array.of(1, 4, 4, 0), [])).toBe(1)
  })

  it('draws from the softmax at a temperature', () => {
    expectShares(shares({ temperature: 1, seed: 1 }), softmax(logits))
    expectShares(shares({ temperature: 2, seed: 2 }), softmax(logits.map((x) => x / 2)))
  })

  it('keeps the k most probable', () => {
    expectShares(shares({ temperature: 1, topK: 2, seed: 3 }), renormalised(softmax(logits), [1, 2]))
  })

  it('keeps the smallest set whose probability reaches p, at least one', () => {
    // 0.62, 0.23, 0.08, 0.05, 0.01
    expectShares(shares({ temperature: 1, topP: 0.8, seed: 4 }), renormalised(softmax(logits), [1, 2]))
    expectShares(shares({ temperature: 1, topP: 0, seed: 4 }), [0, 1, 0, 0, 0])
  })

  it('drops tokens below a share of the most probable', () => {
    expectShares(shares({ temperature: 1, minP: 0.1, seed: 5 }), renormalised(softmax(logits), [0, 1, 2]))
  })

  it('makes tokens that were seen less likely, whatever their sign', () => {
    const scores = Float32Array.of(1, 1.5, 2, -2, 0.5)
    expectShares(shares({ temperature: 1, repetitionPenalty: 2, seed: 6 }, 20_000, [1, 3]), softmax(scores))
  })

  it('draws the same with the same seed, and something else with another', () => {
    const draw = (seed: number): string => {
      const sampler = new Sampler(settings({ temperature: 1.5, seed }))
      return Array.from({ length: 50 }, () => sampler.next(logits, [])).join('')
    }
    expect(draw(42)).toBe(draw(42))
    expect(draw(42)).not.toBe(draw(43))
  })
})

describe('distributions', () => {
  it('sum exponentials without overflow', () => {
    expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.log(2), 9)
    expect(logSumExp(Float32Array.of(-Infinity, 0))).toBe(0)
  })

  it('diverge by the Kullback–Leibler formula', () => {
    const p = Float32Array.of(Math.log(0.5), Math.log(0.25), Math.log(0.25))
    const q = Float32Array.of(Math.log(0.25), Math.log(0.5), Math.log(0.25))
    expect(klDivergence(p, q)).toBeCloseTo(0.25 * Math.log(2), 6)
    expect(klDivergence(p, p)).toBe(0)
    expect(klDivergence(Float32Array.of(0, -Infinity), Float32Array.of(0, 0))).toBeCloseTo(Math.log(2), 6)
  })
})
