/**
 * float32 to float16 as an extraction needs it, where every value goes through here: one pass that rounds four values
 * at once and finds the largest magnitude; where one of four is too small for that they take the general way.
 */
import { halfOfFloat32Bits } from '../../models/formats/float16'

/** float32 bits of the least magnitude that is no subnormal of float16, and of the least that rounds to infinity. */
const NORMAL = 0x38800000
const OVERFLOW = 0x477ff000
/** Mantissa bits that float16 does not have. */
const DROPPED = 0x1fff
/** The exponent's bias changes by 112; what is added in front of the shift rounds to nearest, ties to even. */
const ROUND = 0xfff - 0x38000000

export interface Halves {
  /** float16 bits, rounded to nearest, ties to even. */
  bits: Uint16Array
  /** float32 bits of the largest magnitude. */
  largest: number
  /** Bits that were dropped somewhere; of values too small for a normal number of float16 all. */
  lost: number
}

/**
 * Null where a value is too large for float16, or not finite: those take the general way.
 * @param bits where they go; new ones unless given
 */
export function encodeHalves(
  values: Float32Array,
  bits: Uint16Array = new Uint16Array(values.length),
): Halves | null {
  const source = new Int32Array(values.buffer, values.byteOffset, values.length)
  let largest = 0
  let lost = 0
  let lostOfSmall = 0
  const even = source.length & ~3
  for (let i = 0; i < even; i += 4) {
    const a = source[i]
    const b = source[i + 1]
    const c = source[i + 2]
    const d = source[i + 3]
    const ma = a & 0x7fffffff
    const mb = b & 0x7fffffff
    const mc = c & 0x7fffffff
    const md = d & 0x7fffffff
    if (ma > largest) largest = ma
    if (mb > largest) largest = mb
    if (mc > largest) largest = mc
    if (md > largest) largest = md
    if (((ma - NORMAL) | (mb - NORMAL) | (mc - NORMAL) | (md - NORMAL)) < 0) {
      lostOfSmall |= encodeSome(source, bits, i, i + 4)
      continue
    }
    lost |= ma | mb | mc | md
    bits[i] = ((a >> 16) & 0x8000) | ((ma + ROUND + ((ma >> 13) & 1)) >> 13)
    bits[i + 1] = ((b >> 16) & 0x8000) | ((mb + ROUND + ((mb >> 13) & 1)) >> 13)
    bits[i + 2] = ((c >> 16) & 0x8000) | ((mc + ROUND + ((mc >> 13) & 1)) >> 13)
    bits[i + 3] = ((d >> 16) & 0x8000) | ((md + ROUND + ((md >> 13) & 1)) >> 13)
  }
  for (let i = even; i < source.length; i++) largest = Math.max(largest, source[i] & 0x7fffffff)
  lostOfSmall |= encodeSome(source, bits, even, source.length)
  return largest >= OVERFLOW ? null : { bits, largest, lost: (lost & DROPPED) | lostOfSmall }
}

/** Any values. @returns the bits that were dropped */
function encodeSome(source: Int32Array, bits: Uint16Array, from: number, to: number): number {
  let lost = 0
  for (let i = from; i < to; i++) {
    const magnitude = source[i] & 0x7fffffff
    lost |= magnitude < NORMAL ? magnitude : magnitude & DROPPED
    bits[i] = halfOfFloat32Bits(source[i])
  }
  return lost
}

/** float16 bits of the least number that is no subnormal, and of infinity: from there on nothing is finite. */
export const LEAST_NORMAL_HALF = 0x0400
export const INFINITE_HALF = 0x7c00

/** The largest magnitude of float16 values, as bits without the sign; what is not a number counts as larger than infinity. */
export function largestHalf(bits: Uint16Array): number {
  let largest = 0
  if (bits.byteOffset % 4 !== 0) {
    for (const half of bits) largest = Math.max(largest, half & 0x7fff)
    return largest
  }
  // Two at once, which halves the time: one in the upper bits, one in the lower.
  const pairs = new Int32Array(bits.buffer, bits.byteOffset, bits.length >> 1)
  let upper = 0
  for (let i = 0; i < pairs.length; i++) {
    const both = pairs[i]
    const high = both & 0x7fff0000
    const low = both & 0x7fff
    if (high > upper) upper = high
    if (low > largest) largest = low
  }
  if (bits.length % 2 === 1) largest = Math.max(largest, bits[bits.length - 1] & 0x7fff)
  return Math.max(largest, upper >> 16)
}
