/**
 * 4-bit floats (E2M1) under a shared scale: the OCP microscaling format MXFP4 and NVIDIA's NVFP4. The elements are kept
 * doubled (whole numbers), so the scales are halved.
 */
import type { Dequantise } from './dequantise'

const doubledE2M1 = Float32Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)

/** Half of 2^(e − 127), for every E8M0 scale byte. */
const halfE8M0 = Float32Array.from({ length: 256 }, (_, e) => 2 ** (e - 128))

/** Half of every unsigned E4M3 scale; 0 for its NaN. The sign bit is not part of the format and ignored. */
const halfUE4M3 = Float32Array.from({ length: 256 }, (_, bits) => {
  if (bits === 0x7f) return 0
  const exponent = (bits >>> 3) & 15
  const mantissa = bits & 7
  return 0.5 * (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7))
})

/** 32 elements: an E8M0 scale, 16 bytes of nibbles (low: the first 16 elements). */
export const mxfp4: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 17, to += 32) {
    const d = halfE8M0[bytes[at]]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 1 + i]
      out[to + i] = d * doubledE2M1[pair & 15]
      out[to + 16 + i] = d * doubledE2M1[pair >>> 4]
    }
  }
}

/** 64 elements: four unsigned E4M3 scales, then for each 16 elements 8 bytes of nibbles (low: the first 8 of them). */
export const nvfp4: Dequantise = (bytes, out, blocks) => {
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 36, to += 64) {
    for (let sub = 0; sub < 4; sub++) {
      const d = halfUE4M3[bytes[at + sub]]
      const from = at + 4 + sub * 8
      const first = to + sub * 16
      for (let i = 0; i < 8; i++) {
        const pair = bytes[from + i]
        out[first + i] = d * doubledE2M1[pair & 15]
        out[first + 8 + i] = d * doubledE2M1[pair >>> 4]
      }
    }
  }
}
