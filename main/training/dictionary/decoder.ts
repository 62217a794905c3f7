/**
 * Decoders whose rows have length 1. Otherwise an encoder could shrink features, and a penalty on them, by growing the
 * decoder. The part of a gradient along a row is taken away before the update, and lengths are restored behind it
 * (Bricken et al. 2023, Gao et al. 2024).
 */

/** Takes away from each row of `gradient` [rows, width] its part along that row of unit length of `decoder`. */
export function removeParallel(gradient: Float32Array, decoder: Float32Array, width: number): void {
  for (let start = 0; start < decoder.length; start += width) {
    let along = 0
    for (let i = start; i < start + width; i++) along += gradient[i] * decoder[i]
    for (let i = start; i < start + width; i++) gradient[i] -= along * decoder[i]
  }
}

/** Brings each row [rows, width] to a length; rows of zeros stay. */
export function normaliseRows(decoder: Float32Array, width: number, length = 1): void {
  for (let start = 0; start < decoder.length; start += width) {
    const norm = rowNorm(decoder, start, width)
    if (norm > 0) for (let i = start; i < start + width; i++) decoder[i] *= length / norm
  }
}

export function rowNorm(data: Float32Array, start: number, width: number): number {
  let square = 0
  for (let i = start; i < start + width; i++) square += data[i] * data[i]
  return Math.sqrt(square)
}
