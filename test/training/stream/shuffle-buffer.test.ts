import { describe, expect, it } from 'vitest'
import { ShuffleBuffer } from '../../../main/training/stream/shuffle-buffer'
import type { ActivationSource } from '../../../main/training/stream/source'

/** Chunks of `rows` rows [n, −n], n counting on; y = 10 n. Counts the chunks that are read. */
function counted(chunks: number, rows: number, withY = false): ActivationSource & { read: number } {
  const source = {
    dIn: 2,
    dOut: withY ? 1 : null,
    read: 0,
    chunks: async function* (skip: number) {
      for (let chunk = skip; chunk < chunks; chunk++) {
        source.read++
        const numbers = Array.from({ length: rows }, (_, i) => chunk * rows + i)
        const x = Float32Array.from(numbers.flatMap((n) => [n, -n]))
        yield { rows, x, y: withY ? Float32Array.from(numbers, (n) => 10 * n) : undefined }
      }
    },
  }
  return source
}

const firsts = (x: Float32Array): number[] => [...x].filter((_, i) => i % 2 === 0)

async function all(buffer: ShuffleBuffer, rows: number): Promise<number[]> {
  const seen: number[] = []
  for (let batch = await buffer.draw(rows); batch !== null; batch = await buffer.draw(rows)) {
    firsts(batch.x).forEach((n, i) => expect(batch.x[2 * i + 1] + n).toBe(0))
    seen.push(...firsts(batch.x))
  }
  return seen
}

describe('a shuffle buffer', () => {
  it('gives out every row once, in another order than they came', async () => {
    const seen = await all(new ShuffleBuffer(counted(10, 8), 32, 1), 4)
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 80 }, (_, i) => i))
    expect(seen.slice(0, 16)).not.toEqual([...seen.slice(0, 16)].sort((a, b) => a - b))
  })

  it('mixes rows of many chunks into each batch', async () => {
    const batch = await new ShuffleBuffer(counted(64, 8), 256, 1).draw(32)
    const chunks = new Set(firsts(batch?.x ?? new Float32Array()).map((n) => Math.floor(n / 8)))
    expect(chunks.size).toBeGreaterThan(10)
  })

  it('reads no more than it holds, and goes on when it is half empty', async () => {
    const source = counted(1000, 8)
    const buffer = new ShuffleBuffer(source, 64, 1)
    await buffer.draw(4)
    expect(source.read).toBe(8)
    for (let i = 0; i < 6; i++) await buffer.draw(4)
    expect(source.read).toBe(8)
    for (let i = 0; i < 3; i++) await buffer.draw(4)
    expect(source.read).toBeGreaterThan(8)
    await buffer.close()
  })

  it('keeps what belongs together together', async () => {
    const batch = await new ShuffleBuffer(counted(10, 8, true), 64, 3).draw(20)
    expect([...(batch?.y ?? [])]).toEqual(firsts(batch?.x ?? new Float32Array()).map((n) => 10 * n))
  })

  it('goes on from a saved state with the same batches', async () => {
    const buffer = new ShuffleBuffer(counted(30, 8, true), 64, 5)
    for (let i = 0; i < 7; i++) await buffer.draw(8)
    const { tensors, state } = buffer.save()
    const copy = {
      tensors: new Map([...tensors].map(([k, t]) => [k, { ...t, data: t.data.slice() }])),
      state,
    }
    const expected = await all(buffer, 8)
    const source = counted(30, 8, true)
    const resumed = new ShuffleBuffer(source, 64, 99)
    resumed.restore(copy)
    expect(await all(resumed, 8)).toEqual(expected)
    expect(source.read).toBeLessThan(30)
    expect(() => resumed.restore({ tensors: new Map(), state })).toThrow(/lacks the buffer/)
  })

  it('is the same for the same seed and another for another', async () => {
    const first = (seed: number) => all(new ShuffleBuffer(counted(10, 8), 32, seed), 8)
    expect(await first(1)).toEqual(await first(1))
    expect(await first(1)).not.toEqual(await first(2))
  })

  it('refuses chunks of another shape and rows that are no numbers, saying which', async () => {
    const wrong = (x: number[]): ActivationSource => ({
      dIn: 2,
      dOut: null,
      chunks: async function* () {
        yield { rows: 2, x: Float32Array.from(x) }
      },
    })
    await expect(new ShuffleBuffer(wrong([1, 2, 3]), 4, 1).fill()).rejects.toThrow(/Chunk 0 .* 2 rows of 2/)
    await expect(new ShuffleBuffer(wrong([1, 2, 3, NaN]), 4, 1).fill()).rejects.toThrow(/NaN in row 1/)
  })
})
