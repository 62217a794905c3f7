/**
 * 2-bit quants: groups of eight magnitudes from a codebook, with a sign for each element and scales of four bits for
 * 16 or 32 elements: w = d · (s + 1/2) / 4 · magnitude · sign.
 */
import { float16Values as half } from '../float16'
import { evenSigns, iq2sGrid, iq2xsGrid, iq2xxsGrid } from './codebooks'
import type { Dequantise } from './dequantise'
import { signedGroup } from './signed-group'

const group = signedGroup(8)

/** d; for each 32 elements four codebook indices and a 32-bit word: four 7-bit sign patterns, 4-bit scale. */
export const iq2_xxs: Dequantise = (bytes, out, blocks) => {
  const grid = iq2xxsGrid()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 66, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let sub = 0; sub < 8; sub++) {
      const from = at + 2 + sub * 8
      const word =
        bytes[from + 4] | (bytes[from + 5] << 8) | (bytes[from + 6] << 16) | (bytes[from + 7] << 24)
      const scale = d * (0.5 + (word >>> 28)) * 0.25
      for (let g = 0; g < 4; g++) {
        const signs = evenSigns[(word >>> (7 * g)) & 127]
        group(grid, bytes[from + g] * 8, signs, scale, out, to + sub * 32 + g * 8)
      }
    }
  }
}

/** d; 32 words, one a group: 9-bit codebook index, 7-bit sign pattern; 8 bytes of 4-bit scales, one for 16 elements. */
export const iq2_xs: Dequantise = (bytes, out, blocks) => {
  const grid = iq2xsGrid()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 74, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let g = 0; g < 32; g++) {
      const word = bytes[at + 2 + g * 2] | (bytes[at + 3 + g * 2] << 8)
      const scale = d * (0.5 + ((bytes[at + 66 + (g >>> 2)] >>> ((g & 2) * 2)) & 15)) * 0.25
      group(grid, (word & 511) * 8, evenSigns[word >>> 9], scale, out, to + g * 8)
    }
  }
}

/** d; 32 low index bytes, 32 bytes of signs, 8 bytes of upper index bit pairs, 8 bytes of 4-bit scales. */
export const iq2_s: Dequantise = (bytes, out, blocks) => {
  const grid = iq2sGrid()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 82, to += 256) {
    const d = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let g = 0; g < 32; g++) {
      const upper = (bytes[at + 66 + (g >>> 2)] >>> ((g & 3) * 2)) & 3
      const scale = d * (0.5 + ((bytes[at + 74 + (g >>> 2)] >>> ((g & 2) * 2)) & 15)) * 0.25
      group(grid, (bytes[at + 2 + g] | (upper << 8)) * 8, bytes[at + 34 + g], scale, out, to + g * 8)
    }
  }
}
