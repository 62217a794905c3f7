import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeBfloat16,
  decodeFloat16,
  decodeFloat8E4M3,
  decodeFloat8E5M2,
  encodeBfloat16,
  encodeFloat16,
  float16Values,
} from '../../../main/models/formats/float16'

const all16 = Uint16Array.from({ length: 65536 }, (_, i) => i)
const all8 = Uint8Array.from({ length: 256 }, (_, i) => i)
const fromBits = (...bits: number[]) => new Float32Array(Uint32Array.from(bits).buffer)

/** The value of a float by its definition: sign, exponent and mantissa fields of the given widths. */
function byDefinition(bits: number, exponentBits: number, mantissaBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1
  const sign = (bits >>> (exponentBits + mantissaBits)) & 1 ? -1 : 1
  const exponent = (bits >>> mantissaBits) & (2 ** exponentBits - 1)
  const mantissa = (bits & (2 ** mantissaBits - 1)) / 2 ** mantissaBits
  if (exponent === 2 ** exponentBits - 1) return mantissa === 0 ? sign * Infinity : NaN
  return sign * (exponent === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (exponent - bias))
}

/** Nearest of all values (sorted, with their bits), ties to the even one: what rounding means, by search. */
function nearest(value: number, sorted: readonly { value: number; bits: number }[]): number {
  let low = 0
  let high = sorted.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (sorted[middle].value <= value) low = middle
    else high = middle
  }
  const [below, above] = [value - sorted[low].value, sorted[high].value - value]
  if (below !== above) return sorted[below < above ? low : high].bits
  return sorted[(sorted[low].bits & 1) === 0 ? low : high].bits
}

/** All finite positive values, and where infinity would be if the exponent went on. */
function ladder(exponentBits: number, mantissaBits: number) {
  const infinity = (2 ** exponentBits - 1) << mantissaBits
  const steps = Array.from({ length: infinity }, (_, bits) => ({
    value: byDefinition(bits, exponentBits, mantissaBits),
    bits,
  }))
  return [...steps, { value: 2 ** (2 ** (exponentBits - 1)), bits: infinity }]
}

describe('decoding', () => {
  it.each<[string, ArrayLike<number>, ArrayLike<number>, number, number]>([
    ['float16', all16, decodeFloat16(all16), 5, 10],
    ['bfloat16', all16, decodeBfloat16(all16), 8, 7],
    ['E5M2', all8, decodeFloat8E5M2(all8), 5, 2],
  ])('gives every %s its value by definition', (_, bits, decoded, exponentBits, mantissaBits) => {
    const expected = Array.from(bits, (n) => byDefinition(n, exponentBits, mantissaBits))
    expect(expected.findIndex((value, i) => !Object.is(decoded[i], value))).toBe(-1)
  })

  it('has every float16 in the table of values', () => {
    const decoded = decodeFloat16(all16)
    expect(decoded.findIndex((value, i) => !Object.is(float16Values[i], value))).toBe(-1)
  })

  it('gives every E4M3 its value, with NaN only where all bits are set', () => {
    const decoded = decodeFloat8E4M3(all8)
    // Without infinities the topmost exponent counts on: the definition with one exponent bit more, rebased.
    const value = (bits: number) => {
      const exponent = (bits >>> 3) & 15
      const magnitude = exponent === 0 ? (bits & 7) / 8 / 64 : (1 + (bits & 7) / 8) * 2 ** (exponent - 7)
      return bits & 128 ? -magnitude : magnitude
    }
    all8.forEach((bits) =>
      expect(Object.is(decoded[bits], (bits & 127) === 127 ? NaN : value(bits))).toBe(true),
    )
    expect(decoded[0x7e]).toBe(448)
  })
})

describe('encoding', () => {
  it('gives every float16 and bfloat16 back', () => {
    const halves = encodeFloat16(decodeFloat16(all16))
    const brains = encodeBfloat16(decodeBfloat16(all16))
    const nan16 = (bits: number) => (bits & 0x7fff) > 0x7c00
    const nanBrain = (bits: number) => (bits & 0x7fff) > 0x7f80
    const wrong = all16.filter(
      (bits) =>
        (nan16(bits) ? !nan16(halves[bits]) : halves[bits] !== bits) ||
        (nanBrain(bits) ? !nanBrain(brains[bits]) : brains[bits] !== bits),
    )
    expect(Array.from(wrong)).toEqual([])
  })

  it.each([
    ['float16', encodeFloat16, ladder(5, 10)],
    ['bfloat16', encodeBfloat16, ladder(8, 7)],
  ])('rounds to the nearest %s, ties to even, beyond the largest to infinity', (_, encode, steps) => {
    const top = steps[steps.length - 1]
    const check = (value: number) => {
      const single = Math.fround(value)
      if (!Number.isFinite(single)) return
      const expected = Math.abs(single) >= top.value ? top.bits : nearest(Math.abs(single), steps)
      expect([single, encode(Float32Array.of(single))[0] & 0x7fff]).toEqual([single, expected])
    }
    for (let i = 1; i < steps.length; i += 7) {
      const tie = (steps[i - 1].value + steps[i].value) / 2
      for (const value of [tie, tie * (1 + 2 ** -23), tie * (1 - 2 ** -23)]) check(value)
    }
    fc.assert(fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), check), {
      numRuns: 2000,
      seed: 3,
    })
  })

  it('keeps signs, infinities and NaN, and rounds tiny numbers to zero', () => {
    const values = Float32Array.of(-0, Infinity, -Infinity, -1e-30, 2 ** -25, 2 ** -24, -65519, 65520)
    expect(Array.from(encodeFloat16(values))).toEqual([0x8000, 0x7c00, 0xfc00, 0x8000, 0, 1, 0xfbff, 0x7c00])
    const quietAndSignalling = fromBits(0x7fc00001, 0xff800001)
    expect(Array.from(decodeFloat16(encodeFloat16(quietAndSignalling)))).toEqual([NaN, NaN])
    expect(Array.from(decodeBfloat16(encodeBfloat16(quietAndSignalling)))).toEqual([NaN, NaN])
    expect(encodeBfloat16(fromBits(0x7f7fffff))[0]).toBe(0x7f80)
  })
})
