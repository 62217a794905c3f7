/** Ternary weights (BitNet and its like): 256 elements of −1, 0 or 1 with one float16 scale. */
import { float16Values as half } from '../float16'
import type { Dequantise } from './dequantise'

const powersOfThree = [1, 3, 9, 27, 81]

/**
 * Five base-3 digits a byte, kept as a fraction of 256, so that multiplying by 3^n and looking at the overflow reads
 * digit n. 32 bytes hold elements 0–159 (digit-major), 16 bytes 160–239, 4 bytes with four digits 240–255; then d.
 */
export const tq1_0: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 54, to += 256) {
    const d = half[bytes[at + 52] | (bytes[at + 53] << 8)]
    digits(bytes, at, 32, 5, d, out, to)
    digits(bytes, at + 32, 16, 5, d, out, to + 160)
    digits(bytes, at + 48, 4, 4, d, out, to + 240)
  }
}

function digits(
  bytes: Uint8Array,
  at: number,
  width: number,
  count: number,
  d: number,
  out: Float32Array,
  to: number,
) {
  for (let digit = 0; digit < count; digit++) {
    const power = powersOfThree[digit]
    for (let i = 0; i < width; i++) {
      const fraction = (bytes[at + i] * power) & 255
      out[to + digit * width + i] = d * (((fraction * 3) >>> 8) - 1)
    }
  }
}

/** Two bits an element: 64 bytes, then d. */
export const tq2_0: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 66, to += 256) {
    const d = half[bytes[at + 64] | (bytes[at + 65] << 8)]
    for (let sub = 0; sub < 8; sub++) {
      const from = at + (sub >>> 2) * 32
      const shift = (sub & 3) * 2
      for (let i = 0; i < 32; i++) out[to + sub * 32 + i] = d * (((bytes[from + i] >>> shift) & 3) - 1)
    }
  }
}
