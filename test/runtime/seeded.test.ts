import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { describe, expect, it } from 'vitest'
import { seededGenerator } from '../../main/runtime/seeded'

const drawn = (seed: number, count: number): number[] => {
  const generator = seededGenerator(seed)
  return Array.from({ length: count }, () => uniformFloat64(generator))
}
const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length

describe('a seeded generator', () => {
  it('draws the same numbers again', () => {
    expect(drawn(7, 20)).toEqual(drawn(7, 20))
  })

  it('draws first numbers that are spread over small seeds, and unlike those of their neighbours', () => {
    const seeds = Array.from({ length: 2000 }, (_, seed) => seed)
    for (const place of [0, 1, 5]) {
      const values = seeds.map((seed) => drawn(seed, place + 1)[place])
      // Standard error of the mean of 2,000 uniform numbers: 0.0065.
      expect(Math.abs(mean(values) - 0.5)).toBeLessThan(0.03)
      const tenths = Array.from(
        { length: 10 },
        (_, i) => values.filter((x) => Math.floor(x * 10) === i).length,
      )
      expect(Math.min(...tenths)).toBeGreaterThan(140)
      const products = values.slice(1).map((x, i) => (x - 0.5) * (values[i] - 0.5) * 12)
      expect(Math.abs(mean(products))).toBeLessThan(0.1)
    }
  })

  it('tells the largest seeds apart', () => {
    expect(new Set([0, 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1].map((seed) => drawn(seed, 1)[0])).size).toBe(5)
  })
})
