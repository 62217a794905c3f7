import { describe, expect, it } from 'vitest'
import { ArrayMemory } from '../../main/runtime/array-memory'

describe('memory for arrays of like runs', () => {
  it('gives out again what it was given, once each, and never two sizes for one', () => {
    const memory = new ArrayMemory()
    const first = memory.take(4)
    memory.give([first, first])
    expect(memory.take(5)).not.toBe(first)
    expect(memory.take(4)).toBe(first)
    expect(memory.take(4)).not.toBe(first)
  })

  it('does not give out a view of a part', () => {
    const memory = new ArrayMemory()
    const part = new Float32Array(8).subarray(0, 4)
    memory.give([part])
    expect(memory.take(4) === part).toBe(false)
  })

  it('frees what is more than like runs need', () => {
    const memory = new ArrayMemory()
    const many = Array.from({ length: 20 }, () => new Float32Array(4))
    memory.give(many)
    expect(many.filter(({ length }) => length === 0).length).toBeGreaterThan(0)
    const again = new Set(Array.from({ length: 20 }, () => memory.take(4)))
    expect(again.size).toBe(20)
    expect([...again].every(({ length }) => length === 4)).toBe(true)
  })
})
