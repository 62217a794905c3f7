import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encode } from '../../../main/cache/store/encoding'
import { encodeHalves, largestHalf } from '../../../main/cache/store/halves'
import { decodeFloat16, encodeFloat16 } from '../../../main/models/formats/float16'
import { HalfCast } from '../../../main/runtime/half-cast'

/** float32 values of all magnitudes that float16 has, ties and signed zeros among them. */
const values = fc.float32Array({ min: -65504, max: 65504, noNaN: true, minLength: 1, maxLength: 200 })

async function cast(given: Float32Array): Promise<Uint16Array> {
  const session = await HalfCast.create()
  if (session === null) throw new Error('This runtime does not round as it has to.')
  try {
    const bits = new Uint16Array(given.length)
    await session.run(given, bits)
    return bits
  } finally {
    await session.release()
  }
}

describe('float16', () => {
  it('has the same bits from the session, the fast loop and the general one', async () => {
    const samples = fc.sample(values, { numRuns: 300, seed: 1 })
    for (let i = 0; i < 2 ** 15; i++) samples.push(Float32Array.of(2 ** -30 * 1.0007 ** i))
    const all = Float32Array.from(samples.flatMap((sample) => [...sample]).filter((x) => Math.abs(x) < 65520))
    const expected = encodeFloat16(all)
    expect(await cast(all)).toEqual(expected)
    expect(encodeHalves(all)?.bits).toEqual(expected)
  })

  it('makes infinite in the session what is too large, and keeps what is not a number', async () => {
    const bits = await cast(Float32Array.of(65520, -1e30, NaN))
    expect([bits[0], bits[1], bits[2] & 0x7fff]).toEqual([0x7c00, 0xfc00, 0x7e00])
  })

  it('is looked through for its largest wherever it lies in memory', () => {
    fc.assert(
      fc.property(fc.uint16Array({ minLength: 1, maxLength: 50 }), fc.nat(3), (bits, offset) => {
        const memory = new Uint16Array(offset + bits.length)
        memory.set(bits, offset)
        const expected = Math.max(...[...bits].map((half) => half & 0x7fff))
        expect(largestHalf(memory.subarray(offset))).toBe(expected)
      }),
      { seed: 1 },
    )
  })

  it('that is there already is stored as it is, within the bound that is stated', () => {
    fc.assert(
      fc.property(values, (given) => {
        const halves = encodeFloat16(given)
        const { storage, bytes, error } = encode(given, 'float16', given.length, { halves })
        expect([storage, [...new Uint16Array(bytes.buffer, bytes.byteOffset, given.length)]]).toEqual([
          'F16',
          [...halves],
        ])
        const stored = decodeFloat16(halves)
        const worst = Math.max(...given.map((value, i) => Math.abs(value - stored[i])))
        const largest = Math.max(...given.map(Math.abs))
        expect(worst).toBeLessThanOrEqual(error.max)
        if (largest > 0) expect(worst / largest).toBeLessThanOrEqual(error.relative)
        // No more than one step of the format above what a look at each value gives.
        const exact = encode(given, 'float16', given.length).error
        if (exact.max > 0) expect(error.max).toBeLessThanOrEqual(2 * exact.max)
      }),
      { seed: 1 },
    )
  })

  it.each([
    ['too large', [1, 70000, 2]],
    ['infinite', [1, -Infinity, 2]],
    ['not a number', [NaN, 1, 2]],
    ['nothing but zeros', [0, -0, 0]],
  ])('that is there already does not hide values that are %s', (_, numbers) => {
    const given = Float32Array.from(numbers)
    expect(encode(given, 'float16', 3, { halves: encodeFloat16(given) })).toEqual(encode(given, 'float16', 3))
  })
})
