/**
 * GGUF's block types that a matrix product can read as they are, taken apart: every element is a small code, every group
 * of 16 or 32 elements of a row has a scale and perhaps a shift. Nothing is rounded, so these are the numbers that
 * dequantising gives.
 */
import { float16Values as half } from '../float16'
import type { GgufBlockType } from '../storage'
import { packedMinimum, packedScale } from './k'

/** Where a reader writes the parts of consecutive blocks: one code an element, one scale and one shift a group. */
export interface CodeParts {
  readonly codes: Uint8Array
  readonly scales: Float32Array
  /** Unused by types without shifts. */
  readonly shifts: Float32Array
}

export interface CodeFormat {
  /** Bits of a code. Those of eight bits are used as two digits of four. */
  readonly bits: 4 | 8
  /** Elements that share a scale. */
  readonly group: 16 | 32
  /** The code that stands for 0; null where every group has a shift, which is then the value of the `centre` code. */
  readonly zero: number | null
  /** Takes `blocks` whole blocks apart. */
  readonly read: (bytes: Uint8Array, blocks: number, into: CodeParts) => void
}

/** The code in the middle: products are computed of what codes differ from it. */
export const centreOf = (bits: 4 | 8): number => (bits === 4 ? 8 : 8 + 16 * 8)

const half16 = (bytes: Uint8Array, at: number): number => half[bytes[at] | (bytes[at + 1] << 8)]

/** Bit `index` of the little-endian bits at `at`. */
const bit = (bytes: Uint8Array, at: number, index: number): number =>
  (bytes[at + (index >>> 3)] >>> (index & 7)) & 1

/** The 32 nibbles at `at` in their order: low ones first, then high ones. */
const nibble = (bytes: Uint8Array, at: number, index: number): number =>
  index < 16 ? bytes[at + index] & 15 : bytes[at + index - 16] >>> 4

/** Types of 32 elements a block: calls `read` with each block's place in the bytes and its number. */
const each =
  (size: number, read: (bytes: Uint8Array, at: number, block: number, into: CodeParts) => void) =>
  (bytes: Uint8Array, blocks: number, into: CodeParts): void => {
    for (let block = 0; block < blocks; block++) read(bytes, block * size, block, into)
  }

/** w = d · (q − 8) */
const q4_0 = each(18, (bytes, at, block, { codes, scales }) => {
  scales[block] = half16(bytes, at)
  for (let i = 0; i < 32; i++) codes[block * 32 + i] = nibble(bytes, at + 2, i)
})

/** w = d · q + m = d · (q − 8) + (m + 8d) */
const q4_1 = each(20, (bytes, at, block, { codes, scales, shifts }) => {
  scales[block] = half16(bytes, at)
  shifts[block] = half16(bytes, at + 2) + 8 * scales[block]
  for (let i = 0; i < 32; i++) codes[block * 32 + i] = nibble(bytes, at + 4, i)
})

/** w = d · (q − 16) = d · (q + 112 − 128) */
const q5_0 = each(22, (bytes, at, block, { codes, scales }) => {
  scales[block] = half16(bytes, at)
  for (let i = 0; i < 32; i++)
    codes[block * 32 + i] = (nibble(bytes, at + 6, i) | (bit(bytes, at + 2, i) << 4)) + 112
})

/** w = d · q + m = d · (q + 120 − 136) + (m + 16d) */
const q5_1 = each(24, (bytes, at, block, { codes, scales, shifts }) => {
  scales[block] = half16(bytes, at)
  shifts[block] = half16(bytes, at + 2) + 16 * scales[block]
  for (let i = 0; i < 32; i++)
    codes[block * 32 + i] = (nibble(bytes, at + 8, i) | (bit(bytes, at + 4, i) << 4)) + 120
})

/** w = d · q, q signed */
const q8_0 = each(34, (bytes, at, block, { codes, scales }) => {
  scales[block] = half16(bytes, at)
  for (let i = 0; i < 32; i++) codes[block * 32 + i] = bytes[at + 2 + i] ^ 128
})

/** w = d·s · q − dmin·m, eight groups a block */
const q4_k = each(144, (bytes, at, block, { codes, scales, shifts }) => {
  const d = half16(bytes, at)
  const dmin = half16(bytes, at + 2)
  for (let sub = 0; sub < 8; sub++) {
    const group = block * 8 + sub
    scales[group] = d * packedScale(bytes, at + 4, sub)
    shifts[group] = 8 * scales[group] - dmin * packedMinimum(bytes, at + 4, sub)
    const from = at + 16 + (sub >>> 1) * 32
    for (let i = 0; i < 32; i++) codes[group * 32 + i] = (bytes[from + i] >>> ((sub & 1) * 4)) & 15
  }
})

/** As Q4_K with a fifth bit. */
const q5_k = each(176, (bytes, at, block, { codes, scales, shifts }) => {
  const d = half16(bytes, at)
  const dmin = half16(bytes, at + 2)
  for (let sub = 0; sub < 8; sub++) {
    const group = block * 8 + sub
    scales[group] = d * packedScale(bytes, at + 4, sub)
    shifts[group] = 16 * scales[group] - dmin * packedMinimum(bytes, at + 4, sub)
    const from = at + 48 + (sub >>> 1) * 32
    for (let i = 0; i < 32; i++) {
      const low = (bytes[from + i] >>> ((sub & 1) * 4)) & 15
      codes[group * 32 + i] = (low | (((bytes[at + 16 + i] >>> sub) & 1) << 4)) + 120
    }
  }
})

/** w = d·s · (q − 32), sixteen groups a block */
const q6_k = each(210, (bytes, at, block, { codes, scales }) => {
  const d = half16(bytes, at + 208)
  for (let sub = 0; sub < 16; sub++) {
    const group = block * 16 + sub
    scales[group] = d * ((bytes[at + 192 + sub] << 24) >> 24)
    const low = at + (sub >>> 3) * 64 + (sub & 3) * 16
    const high = at + 128 + (sub >>> 3) * 32 + (sub & 1) * 16
    for (let i = 0; i < 16; i++) {
      const q = ((bytes[low + i] >>> (sub & 4)) & 15) | (((bytes[high + i] >>> (sub & 6)) & 3) << 4)
      codes[group * 16 + i] = q + 96
    }
  }
})

/** The types that can be taken apart; weights of others become float32. */
export const codeFormats: Readonly<Partial<Record<GgufBlockType, CodeFormat>>> = {
  Q4_0: { bits: 4, group: 32, zero: 8, read: q4_0 },
  Q4_1: { bits: 4, group: 32, zero: null, read: q4_1 },
  Q5_0: { bits: 8, group: 32, zero: 128, read: q5_0 },
  Q5_1: { bits: 8, group: 32, zero: null, read: q5_1 },
  Q8_0: { bits: 8, group: 32, zero: 128, read: q8_0 },
  Q4_K: { bits: 4, group: 32, zero: null, read: q4_k },
  Q5_K: { bits: 8, group: 32, zero: null, read: q5_k },
  Q6_K: { bits: 8, group: 16, zero: 128, read: q6_k },
}
