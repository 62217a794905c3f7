/** Which sites make a wave. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SiteQueue } from '../../../main/runtime/wave/queue'

function waves(sizes: readonly number[], tokens: number): number[][] {
  const queue = new SiteQueue(sizes.length, (place) => sizes[place])
  const taken: number[][] = []
  while (queue.tokens > 0) taken.push(queue.take(tokens))
  return taken
}

const heldBy = (sizes: readonly number[], wave: readonly number[]): number =>
  wave.reduce((sum, place) => sum + sizes[place], 0)

describe('waves of sites', () => {
  it('hold every site once, and hardly more tokens than were asked for', () => {
    const some = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 300 })
    fc.assert(
      fc.property(some, fc.integer({ min: 1, max: 200 }), (sizes, tokens) => {
        const taken = waves(sizes, tokens)
        expect(taken.flat().sort((a, b) => a - b)).toEqual([...sizes.keys()])
        for (const wave of taken)
          if (wave.length > 1) expect(heldBy(sizes, wave)).toBeLessThanOrEqual(1.25 * tokens)
      }),
    )
  })

  it('begin with the first sites of the list', () => {
    expect(waves([5, 1, 5, 1, 5, 1], 6)[0].sort()).toEqual([0, 1])
  })

  it('hold sites of about one length together, longest first', () => {
    const sizes = Array.from({ length: 120 }, (_, i) => 1 + (i % 12))
    const spread = waves(sizes, 100)
      .slice(1)
      .map((wave) => Math.max(...wave.map((i) => sizes[i])) - Math.min(...wave.map((i) => sizes[i])))
    expect(Math.max(...spread)).toBeLessThan(11)
    expect(Math.min(...spread)).toBeLessThan(4)
  })

  it('give back what could not be run, to be taken in smaller parts', () => {
    const queue = new SiteQueue(10, () => 4)
    const wave = queue.take(20)
    queue.putBack(wave)
    expect(queue.tokens).toBe(40)
    expect(queue.take(8)).toEqual(wave.slice(0, 2))
  })
})
