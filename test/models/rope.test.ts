import { describe, expect, it } from 'vitest'
import { sameAngles, type RopeScaling } from '../../main/models/rope'

const rope = (scaling: RopeScaling) => ({ base: 10000, dim: 8, interleaved: false, scaling })

describe('angles of sequences of different length', () => {
  it('are the same without scaling by length', () => {
    expect(sameAngles(rope({ kind: 'default' }), 3, 5000)).toBe(true)
    expect(sameAngles(rope({ kind: 'linear', factor: 2 }), 3, 5000)).toBe(true)
  })

  it('differ with dynamic scaling beyond the trained length, for every length', () => {
    const dynamic = rope({ kind: 'dynamic', factor: 2, originalLength: 100 })
    expect(sameAngles(dynamic, 99, 100)).toBe(true)
    expect(sameAngles(dynamic, 100, 101)).toBe(false)
    expect(sameAngles(dynamic, 101, 102)).toBe(false)
  })

  it('differ with LongRoPE where one is beyond the original length and one is not', () => {
    const long = rope({
      kind: 'longrope',
      shortFactor: [1, 1, 1, 1],
      longFactor: [2, 2, 2, 2],
      originalLength: 100,
      attentionFactor: 1,
    })
    expect(sameAngles(long, 50, 100)).toBe(true)
    expect(sameAngles(long, 100, 101)).toBe(false)
    expect(sameAngles(long, 101, 5000)).toBe(true)
  })
})
