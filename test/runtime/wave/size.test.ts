/** The size of waves: what is tried, what is kept, what memory takes away. */
import { describe, expect, it } from 'vitest'
import { WaveSize } from '../../../main/runtime/wave/size'

const MANY = 1_000_000

/** Runs waves of whatever size is wanted, on a machine of which `rate` says what it computes in a second. */
async function measure(size: WaveSize, rate: (tokens: number) => number, waves: number): Promise<number[]> {
  await size.load()
  const used: number[] = []
  for (let i = 0; i < waves; i++) {
    const tokens = size.next(MANY)
    used.push(tokens)
    await size.measured(tokens, tokens, tokens * 20, (tokens * 20) / rate(tokens))
  }
  return used
}

describe('the size of waves', () => {
  it.each([512, 1024, 2048])(
    'settles on %d tokens where that is fastest, and remembers it',
    async (fastest) => {
      const written: number[] = []
      const memory = { read: () => Promise.resolve(null), write: async (n: number) => void written.push(n) }
      const size = new WaveSize(memory)
      const used = await measure(size, (tokens) => (tokens === fastest ? 100 : 90), 12)
      expect(new Set(used.slice(0, 9))).toEqual(new Set([512, 1024, 2048]))
      expect(used.slice(9)).toEqual([fastest, fastest, fastest])
      expect(written).toEqual([fastest])
    },
  )

  it('takes what was remembered, and measures nothing then', async () => {
    const memory = {
      read: () => Promise.resolve(2048),
      write: () => Promise.reject(new Error('not to be written')),
    }
    expect(new Set(await measure(new WaveSize(memory), () => 1, 10))).toEqual(new Set([2048]))
  })

  it('halves where memory is exhausted, down to one token', async () => {
    const size = new WaveSize()
    await size.load()
    size.exhausted(1000)
    expect(size.next(MANY)).toBe(500)
    for (let i = 0; i < 20; i++) size.exhausted(size.next(MANY))
    expect(size.next(MANY)).toBe(1)
  })

  it('does not learn from waves that are hardly filled or go through few blocks', async () => {
    const size = new WaveSize()
    await size.load()
    for (let i = 0; i < 20; i++) {
      const tokens = size.next(MANY)
      await size.measured(tokens, tokens >> 1, MANY, 1)
      await size.measured(tokens, tokens, tokens, 1)
    }
    expect(size.next(MANY)).toBe(512)
  })
})
