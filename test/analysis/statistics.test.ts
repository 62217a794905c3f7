import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  cosine,
  describe as summarise,
  HistogramCounter,
  Moments,
  rowNorms,
} from '../../main/analysis/statistics'
import { weightStatistics } from '../../main/analysis/weights'

const anyFloats = fc.float32Array({ maxLength: 60 })
const floats = fc.float32Array({
  minLength: 1,
  maxLength: 60,
  noNaN: true,
  noDefaultInfinity: true,
  min: -1e6,
  max: 1e6,
})
const close = (a: number, b: number): void =>
  expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(b)))

describe('Moments', () => {
  it('agrees with the two-pass formulas, in any chunks', () => {
    fc.assert(
      fc.property(floats, fc.integer({ min: 1, max: 20 }), (data, chunk) => {
        const moments = new Moments()
        for (let i = 0; i < data.length; i += chunk) moments.add(data.subarray(i, i + chunk))
        const summary = moments.summary()
        const values = [...data]
        const mean = values.reduce((a, b) => a + b) / values.length
        const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length
        close(summary.mean, mean)
        expect(Math.abs(summary.standardDeviation - Math.sqrt(variance))).toBeLessThanOrEqual(
          1e-6 * (1 + Math.sqrt(variance)),
        )
        expect(summary.minimum).toBe(Math.min(...values))
        expect(summary.maximum).toBe(Math.max(...values))
        close(summary.norm, Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)))
        expect(summary.zeros).toBe(values.filter((x) => x === 0).length)
      }),
    )
  })

  it('keeps the variance of large numbers that lie close together', () => {
    const { summary } = summarise(Float32Array.of(1e7, 1e7 + 1, 1e7 + 2))
    expect(summary.standardDeviation).toBeCloseTo(Math.sqrt(2 / 3), 6)
  })

  it('leaves out what is not finite and counts it', () => {
    const { summary } = summarise(Float32Array.of(-Infinity, 1, NaN, 3, Infinity))
    expect(summary).toMatchObject({ count: 5, notFinite: 3, mean: 2, minimum: 1, maximum: 3 })
  })

  it('gives zeros where nothing is finite', () => {
    expect(summarise(Float32Array.of(NaN, -Infinity)).summary).toMatchObject({
      mean: 0,
      minimum: 0,
      maximum: 0,
      notFinite: 2,
    })
    expect(summarise(new Float32Array(0)).summary).toMatchObject({ count: 0, standardDeviation: 0 })
  })
})

describe('histogram', () => {
  it('counts every finite element once, between edges that rise', () => {
    fc.assert(
      fc.property(anyFloats, fc.integer({ min: 1, max: 64 }), (data, bins) => {
        const { summary, histogram } = summarise(data, bins)
        expect(histogram.counts.reduce((a, b) => a + b, 0)).toBe(summary.count - summary.notFinite)
        expect(histogram.counts).toHaveLength(bins)
        expect(histogram.edges).toHaveLength(bins + 1)
      }),
    )
  })

  it('puts elements where their edges say', () => {
    const { histogram } = summarise(Float32Array.of(0, 0.9, 1, 2.5, 4), 4)
    expect([...histogram.edges]).toEqual([0, 1, 2, 3, 4])
    expect([...histogram.counts]).toEqual([2, 1, 1, 1])
  })

  it('shows equal elements in one bin of a range about them', () => {
    const { histogram } = summarise(Float32Array.of(3, 3), 4)
    expect([...histogram.edges]).toEqual([2.5, 2.75, 3, 3.25, 3.5])
    expect([...histogram.counts]).toEqual([0, 0, 2, 0])
  })

  it('survives the largest range that float32 has', () => {
    const big = Math.fround(3.4e38)
    const counter = new HistogramCounter({ minimum: -big, maximum: big }, 2)
    counter.add(Float32Array.of(-big, big))
    expect([...counter.histogram().counts]).toEqual([1, 1])
  })
})

describe('rowNorms and cosine', () => {
  it('agree with their formulas', () => {
    expect([...rowNorms(Float32Array.of(3, 4, 0, 0), 2)]).toEqual([5, 0])
    expect(cosine(Float32Array.of(1, 0), Float32Array.of(1, 1))).toBeCloseTo(Math.SQRT1_2, 12)
    expect(cosine(Float32Array.of(1, 0), Float32Array.of(0, 0))).toBeNaN()
  })
})

describe('weightStatistics', () => {
  it('describes a parameter', async () => {
    const result = await weightStatistics('w', [2, 2], Float32Array.of(3, 0, -4, NaN))
    expect(result).toMatchObject({
      name: 'w',
      shape: [2, 2],
      count: 4,
      frobeniusNorm: 5,
      zeros: 1,
      notFinite: 1,
      minimum: -4,
      maximum: 3,
    })
    expect(result.histogram.counts.reduce((a, b) => a + b)).toBe(3)
  })

  it('gives the same for a tensor that takes several chunks', async () => {
    const data = Float32Array.from({ length: 2 ** 22 + 3 }, (_, i) => (i % 7) - 3)
    const result = await weightStatistics('w', [data.length], data)
    const { summary } = summarise(data)
    expect(result.mean).toBeCloseTo(summary.mean, 12)
    expect(result.standardDeviation).toBeCloseTo(summary.standardDeviation, 9)
    expect(result.count).toBe(data.length)
  })

  it('stops when it is cancelled', async () => {
    await expect(weightStatistics('w', [1], Float32Array.of(1), AbortSignal.abort())).rejects.toMatchObject({
      code: 'run.cancelled',
    })
  })
})
