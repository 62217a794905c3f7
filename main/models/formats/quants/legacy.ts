/**
 * GGUF's first block types: 32 elements with one float16 scale (and, for the `_1` types, a float16 minimum).
 * The low nibbles of a block are its first 16 elements, the high nibbles its last 16.
 */
import { float16Values as half } from '../float16'
import type { Dequantise } from './dequantise'

/** w = d · (q − 8); d, 16 bytes of nibbles. */
export const q4_0: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 18, to += 32) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]
      out[to + i] = d * ((pair & 15) - 8)
      out[to + 16 + i] = d * ((pair >>> 4) - 8)
    }
  }
}

/** w = d · q + m; d, m, 16 bytes of nibbles. */
export const q4_1: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 20, to += 32) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    const m = half[bytes[at + 2] | (bytes[at + 3] << 8)]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i]
      out[to + i] = d * (pair & 15) + m
      out[to + 16 + i] = d * (pair >>> 4) + m
    }
  }
}

/** w = d · (q − 16); d, 32 fifth bits, 16 bytes of nibbles. */
export const q5_0: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 22, to += 32) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    const low = bytes[at + 2] | (bytes[at + 3] << 8)
    const high = bytes[at + 4] | (bytes[at + 5] << 8)
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 6 + i]
      out[to + i] = d * (((pair & 15) | (((low >>> i) & 1) << 4)) - 16)
      out[to + 16 + i] = d * (((pair >>> 4) | (((high >>> i) & 1) << 4)) - 16)
    }
  }
}

/** w = d · q + m; d, m, 32 fifth bits, 16 bytes of nibbles. */
export const q5_1: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 24, to += 32) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    const m = half[bytes[at + 2] | (bytes[at + 3] << 8)]
    const low = bytes[at + 4] | (bytes[at + 5] << 8)
    const high = bytes[at + 6] | (bytes[at + 7] << 8)
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 8 + i]
      out[to + i] = d * ((pair & 15) | (((low >>> i) & 1) << 4)) + m
      out[to + 16 + i] = d * ((pair >>> 4) | (((high >>> i) & 1) << 4)) + m
    }
  }
}

/** w = d · q; d, 32 signed bytes. */
export const q8_0: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 34, to += 32) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let i = 0; i < 32; i++) out[to + i] = d * ((bytes[at + 2 + i] << 24) >> 24)
  }
}
