/** 4-bit quants with a non-linear table of 16 levels instead of evenly spaced ones. */
import { float16Values as half } from '../float16'
import type { Dequantise } from './dequantise'

const levels = Float32Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

/** w = d · level[q], 32 elements; d, 16 bytes of nibbles (low: the first 16 elements). */
export const iq4_nl: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 18, to += 32) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]
      out[to + i] = d * levels[pair & 15]
      out[to + 16 + i] = d * levels[pair >>> 4]
    }
  }
}

/**
 * w = d·(s − 32) · level[q], 256 elements in sub-blocks of 32; d, 16 bits with the upper two of each s, 4 bytes with the
 * lower four, 128 bytes of nibbles.
 */
export const iq4_xs: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 136, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    const upper = bytes[at + 2] | (bytes[at + 3] << 8)
    for (let sub = 0; sub < 8; sub++) {
      const low = (bytes[at + 4 + (sub >>> 1)] >>> ((sub & 1) * 4)) & 15
      const scale = d * ((low | (((upper >>> (2 * sub)) & 3) << 4)) - 32)
      const from = at + 8 + sub * 16
      const first = to + sub * 32
      for (let i = 0; i < 16; i++) {
        const pair = bytes[from + i]
        out[first + i] = scale * levels[pair & 15]
        out[first + 16 + i] = scale * levels[pair >>> 4]
      }
    }
  }
}
