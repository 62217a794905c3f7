/**
 * The k-quants: 256 elements a block, split into sub-blocks of 16 or 32 whose scales (and minima) are themselves a few
 * bits wide and scaled by the block's float16 `d` (and `dmin`).
 */
import { float16Values as half } from '../float16'
import type { Dequantise } from './dequantise'

/** w = d·s · q − dmin·m, sub-blocks of 16; 16 bytes of s (low nibble) and m, 64 bytes of 2-bit q, d, dmin. */
export const q2_k: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 84, to += 256) {
    const d = half[bytes[at + 80] | (bytes[at + 81] << 8)]
    const dmin = half[bytes[at + 82] | (bytes[at + 83] << 8)]
    for (let sub = 0; sub < 16; sub++) {
      const scale = d * (bytes[at + sub] & 15)
      const minimum = dmin * (bytes[at + sub] >>> 4)
      const from = at + 16 + (sub >>> 3) * 32 + (sub & 1) * 16
      const shift = sub & 6
      for (let i = 0; i < 16; i++)
        out[to + sub * 16 + i] = scale * ((bytes[from + i] >>> shift) & 3) - minimum
    }
  }
}

/** w = d·(s − 32) · q, sub-blocks of 16; 32 bytes of third bits (set: no −4), 64 bytes of 2-bit q, 12 of 6-bit s, d. */
export const q3_k: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 110, to += 256) {
    const d = half[bytes[at + 108] | (bytes[at + 109] << 8)]
    for (let sub = 0; sub < 16; sub++) {
      const low = (bytes[at + 96 + (sub & 7)] >>> ((sub >>> 3) * 4)) & 15
      const high = (bytes[at + 104 + (sub & 3)] >>> ((sub >>> 2) * 2)) & 3
      const scale = d * ((low | (high << 4)) - 32)
      const mask = at + (sub & 1) * 16
      const from = at + 32 + (sub >>> 3) * 32 + (sub & 1) * 16
      const shift = sub & 6
      const bit = sub >>> 1
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[from + i] >>> shift) & 3) - (((bytes[mask + i] >>> bit) & 1) === 1 ? 0 : 4)
        out[to + sub * 16 + i] = scale * q
      }
    }
  }
}

/** Scale of sub-block `sub` among the 12 bytes at `at` that pack eight 6-bit scales and eight 6-bit minima. */
export const packedScale = (bytes: Uint8Array, at: number, sub: number): number =>
  sub < 4 ? bytes[at + sub] & 63 : (bytes[at + sub + 4] & 15) | ((bytes[at + sub - 4] >>> 2) & 48)

/** Minimum of sub-block `sub`, likewise. */
export const packedMinimum = (bytes: Uint8Array, at: number, sub: number): number =>
  sub < 4 ? bytes[at + sub + 4] & 63 : (bytes[at + sub + 4] >>> 4) | ((bytes[at + sub] >>> 2) & 48)

/** w = d·s · q − dmin·m, sub-blocks of 32; d, dmin, 12 bytes of s and m, 128 bytes of nibbles. */
export const q4_k: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 144, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    const dmin = half[bytes[at + 2] | (bytes[at + 3] << 8)]
    for (let sub = 0; sub < 8; sub++) {
      const scale = d * packedScale(bytes, at + 4, sub)
      const minimum = dmin * packedMinimum(bytes, at + 4, sub)
      const from = at + 16 + (sub >>> 1) * 32
      const shift = (sub & 1) * 4
      for (let i = 0; i < 32; i++)
        out[to + sub * 32 + i] = scale * ((bytes[from + i] >>> shift) & 15) - minimum
    }
  }
}

/** As Q4_K with a fifth bit: d, dmin, 12 bytes of s and m, 32 bytes of fifth bits (one a sub-block), 128 of nibbles. */
export const q5_k: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 176, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    const dmin = half[bytes[at + 2] | (bytes[at + 3] << 8)]
    for (let sub = 0; sub < 8; sub++) {
      const scale = d * packedScale(bytes, at + 4, sub)
      const minimum = dmin * packedMinimum(bytes, at + 4, sub)
      const from = at + 48 + (sub >>> 1) * 32
      const shift = (sub & 1) * 4
      for (let i = 0; i < 32; i++) {
        const q = ((bytes[from + i] >>> shift) & 15) | (((bytes[at + 16 + i] >>> sub) & 1) << 4)
        out[to + sub * 32 + i] = scale * q - minimum
      }
    }
  }
}

/** w = d·s · (q − 32), sub-blocks of 16 with signed 8-bit s; 128 bytes of nibbles, 64 of upper bit pairs, 16 of s, d. */
export const q6_k: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 210, to += 256) {
    const d = half[bytes[at + 208] | (bytes[at + 209] << 8)]
    for (let sub = 0; sub < 16; sub++) {
      const scale = d * ((bytes[at + 192 + sub] << 24) >> 24)
      const low = at + (sub >>> 3) * 64 + (sub & 3) * 16
      const lowShift = (sub & 4) === 0 ? 0 : 4
      const high = at + 128 + (sub >>> 3) * 32 + (sub & 1) * 16
      const highShift = sub & 6
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[low + i] >>> lowShift) & 15) | (((bytes[high + i] >>> highShift) & 3) << 4)
        out[to + sub * 16 + i] = scale * (q - 32)
      }
    }
  }
}
