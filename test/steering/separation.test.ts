import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { auc, pairedAccuracy } from '../../main/steering/separation'

const scores = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 8 })

describe('auc', () => {
  it('is the share of positive–negative pairs in the right order, ties half', () => {
    fc.assert(
      fc.property(scores, scores, (positive, negative) => {
        const wins = positive.flatMap((p) => negative.map((n) => (p > n ? 1 : p === n ? 0.5 : 0)))
        expect(auc(positive, negative)).toBeCloseTo(wins.reduce((a: number, b) => a + b, 0) / wins.length, 12)
      }),
    )
  })

  it('is 1 for groups that do not overlap, and one half for equal ones', () => {
    expect(auc([2, 3], [0, 1])).toBe(1)
    expect(auc([1, 2], [1, 2])).toBe(0.5)
  })
})

describe('pairedAccuracy', () => {
  it('counts pairs whose positive side is strictly higher', () => {
    expect(pairedAccuracy([1, 2, 3, 0], [0, 2, 4, -1])).toBe(0.5)
  })
})
