import { describe, expect, it } from 'vitest'
import { alibiSlopes, alibiTerms, plainAlibi } from '../../main/models/alibi'

describe('ALiBi', () => {
  it('halves the slope from head to head with eight heads', () => {
    expect(alibiSlopes(8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((i) => 2 ** -i))
  })

  it('takes every other slope of the next power of two for the heads beyond a power of two', () => {
    expect(alibiSlopes(6)).toEqual([2 ** -2, 2 ** -4, 2 ** -6, 2 ** -8, 2 ** -1, 2 ** -3])
  })

  it('reaches as far as the largest bias says', () => {
    expect(alibiSlopes(2, 16)).toEqual([2 ** -8, 2 ** -16])
  })

  it('grows with the position by the slope', () => {
    expect([...alibiTerms(plainAlibi(8), 1, 4)]).toEqual([0, 0.25, 0.5, 0.75])
  })

  it('is rounded to bfloat16 where the family’s code computes it so, positions beyond 256 too', () => {
    const terms = alibiTerms({ slopes: [0.3], scale: 2, bfloat16: true }, 0, 301)
    // torch: bfloat16(0.3) · [1, 257, 259, 300] = [0.30078125, 77, 78, 90]
    expect([1, 257, 259, 300].map((position) => terms[position] / 2)).toEqual([0.30078125, 77, 78, 90])
  })
})
