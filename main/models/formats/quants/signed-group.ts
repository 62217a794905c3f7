/** What the quants with codebooks of magnitudes share: a group of them, each with its sign. */

type WriteGroup = (
  grid: Float32Array,
  entry: number,
  signs: number,
  scale: number,
  out: Float32Array,
  to: number,
) => void

/** Writes groups of `size`: magnitudes at `entry` of the codebook, bit i of `signs` set where element i is negative. */
export const signedGroup =
  (size: number): WriteGroup =>
  (grid, entry, signs, scale, out, to) => {
    for (let i = 0; i < size; i++) {
      const value = scale * grid[entry + i]
      out[to + i] = (signs >>> i) & 1 ? -value : value
    }
  }
