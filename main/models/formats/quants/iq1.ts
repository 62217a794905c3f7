/**
 * 1.5- and 1.75-bit quants: groups of eight elements of −1, 0 or 1 from a codebook of 2,048, shifted by ±1/8.
 */
import { float16Values as half } from '../float16'
import { iq1Grid } from './codebooks'
import type { Dequantise } from './dequantise'

const shift = 0.125

/** d, 32 bytes of the low 8 index bits, 8 words (one for 32 elements): 4 × 3 upper index bits, 3-bit scale, sign of the shift. */
export const iq1_s: Dequantise = (bytes, out, blocks) => {
  const grid = iq1Grid()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 50, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let sub = 0; sub < 8; sub++) {
      const word = bytes[at + 34 + sub * 2] | (bytes[at + 35 + sub * 2] << 8)
      const scale = d * (2 * ((word >>> 12) & 7) + 1)
      const delta = word & 0x8000 ? -shift : shift
      for (let group = 0; group < 4; group++) {
        const entry = (bytes[at + 2 + sub * 4 + group] | (((word >>> (3 * group)) & 7) << 8)) * 8
        const first = to + sub * 32 + group * 8
        for (let i = 0; i < 8; i++) out[first + i] = scale * (grid[entry + i] + delta)
      }
    }
  }
}

/**
 * 32 bytes of the low 8 index bits; 16 bytes with, for each group of eight, 3 upper index bits and the sign of the shift;
 * 4 words with four 3-bit scales (16 elements each) and, in their upper nibbles, the float16 d.
 */
export const iq1_m: Dequantise = (bytes, out, blocks) => {
  const grid = iq1Grid()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 56, to += 256) {
    const nibble = (word: number) => bytes[at + 49 + word * 2] >>> 4
    const d = half[nibble(0) | (nibble(1) << 4) | (nibble(2) << 8) | (nibble(3) << 12)]
    for (let group = 0; group < 32; group++) {
      const sub = group >>> 1
      const word = bytes[at + 48 + (sub >>> 2) * 2] | (bytes[at + 49 + (sub >>> 2) * 2] << 8)
      const scale = d * (2 * ((word >>> (3 * (sub & 3))) & 7) + 1)
      const extra = (bytes[at + 32 + (group >>> 1)] >>> ((group & 1) * 4)) & 15
      const entry = (bytes[at + group] | ((extra & 7) << 8)) * 8
      const delta = extra & 8 ? -shift : shift
      for (let i = 0; i < 8; i++) out[to + group * 8 + i] = scale * (grid[entry + i] + delta)
    }
  }
}
