import { describe, expect, it } from 'vitest'
import { Pace } from '../../main/extraction/pace'
import { batchFrom } from '../../main/extraction/row'

/** Batches of a machine with this speed, in tokens a second by tokens of the batch, until it settles. */
function settled(pace: Pace, speed: (tokens: number) => number): number {
  for (let i = 0; i < 40; i++) pace.note(pace.tokens, pace.tokens / speed(pace.tokens))
  return pace.tokens
}

describe('the size of a batch', () => {
  it('grows as long as that is faster', () => {
    expect(settled(new Pace(100_000), (tokens) => (tokens <= 2048 ? tokens : 2048))).toBe(2048)
    expect(settled(new Pace(100_000), () => 1000)).toBe(512)
  })

  it('never exceeds what memory has room for', () => {
    expect(settled(new Pace(3000), (tokens) => tokens)).toBe(2048)
    expect(settled(new Pace(100), (tokens) => tokens)).toBe(100)
    expect(new Pace(0.2).tokens).toBe(1)
  })

  it('is not judged by the first batch, nor by those that are not full', () => {
    const pace = new Pace(100_000)
    pace.note(512, 100)
    for (let i = 0; i < 10; i++) pace.note(20, 100)
    expect(pace.tokens).toBe(512)
    pace.note(512, 1)
    pace.note(512, 1)
    expect(pace.tokens).toBe(1024)
  })

  it('is halved when a batch did not fit, and stays', () => {
    const pace = new Pace(100_000)
    pace.shrink(500)
    expect(pace.tokens).toBe(250)
    pace.shrink(1)
    expect(settled(pace, (tokens) => tokens)).toBe(1)
  })
})

describe('a batch', () => {
  const rows = [7, 5, 5, 2, 1].map((length) => ({ tokens: Array<number>(length).fill(1) }))
  it('has as many rows as fit with their padding, one at the least', () => {
    expect(batchFrom(rows, 0, 21)).toBe(3)
    expect(batchFrom(rows, 0, 20)).toBe(2)
    expect(batchFrom(rows, 0, 3)).toBe(1)
    expect(batchFrom(rows, 3, 100)).toBe(2)
  })
})
