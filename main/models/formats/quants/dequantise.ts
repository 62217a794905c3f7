/** The shape that every block type's decoder has. */

/** Decodes `blocks` whole blocks from the start of `bytes` to the start of `out`. Little-endian. */
export type Dequantise = (bytes: Uint8Array, out: Float32Array, blocks: number) => void
