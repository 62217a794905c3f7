/** 3-bit quants: groups of four magnitudes from a codebook, with a sign for each element and 4-bit scales. */
import { float16Values as half } from '../float16'
import { evenSigns, iq3sGrid, iq3xxsGrid } from './codebooks'
import type { Dequantise } from './dequantise'
import { signedGroup } from './signed-group'

const group = signedGroup(4)

/** w = d · (s + 1/2) / 2 · magnitude · sign. d; 64 codebook indices; for each 32 elements a word: four 7-bit sign patterns, s. */
export const iq3_xxs: Dequantise = (bytes, out, blocks) => {
  const grid = iq3xxsGrid()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 98, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let sub = 0; sub < 8; sub++) {
      const from = at + 66 + sub * 4
      const word = bytes[from] | (bytes[from + 1] << 8) | (bytes[from + 2] << 16) | (bytes[from + 3] << 24)
      const scale = d * (0.5 + (word >>> 28)) * 0.5
      for (let g = 0; g < 8; g++) {
        const signs = evenSigns[(word >>> (7 * (g >>> 1))) & 127] >>> ((g & 1) * 4)
        group(grid, bytes[at + 2 + sub * 8 + g] * 4, signs, scale, out, to + sub * 32 + g * 4)
      }
    }
  }
}

/** w = d · (2s + 1) · magnitude · sign. d; 64 low index bytes; 8 bytes of ninth index bits; 32 bytes of signs; 4 bytes of s. */
export const iq3_s: Dequantise = (bytes, out, blocks) => {
  const grid = iq3sGrid()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 110, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let sub = 0; sub < 8; sub++) {
      const scale = d * (1 + 2 * ((bytes[at + 106 + (sub >>> 1)] >>> ((sub & 1) * 4)) & 15))
      const ninth = bytes[at + 66 + sub]
      for (let g = 0; g < 8; g++) {
        const index = bytes[at + 2 + sub * 8 + g] | (((ninth >>> g) & 1) << 8)
        const signs = bytes[at + 74 + sub * 4 + (g >>> 1)] >>> ((g & 1) * 4)
        group(grid, index * 4, signs, scale, out, to + sub * 32 + g * 4)
      }
    }
  }
}
