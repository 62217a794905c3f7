/**
 * Checksums of stored bytes: a CRC-32 for every 8 KiB of a tensor, so that a slice is trusted without reading the rest.
 * Over 8 KiB a CRC-32 finds every error of up to three bits and every burst of up to 32 (Koopman, "32-Bit Cyclic Redundancy
 * Codes for Internet Applications", DSN 2002: Hamming distance 4 up to 91,607 bits); of other damage it misses one in
 * 2^32. A cryptographic hash would add nothing against a disk's faults, and could not check a part.
 */
import { crc32 } from 'node:zlib'

/** Bytes that one checksum covers; the last chunk of a tensor is shorter. */
export const CHUNK = 8192

export const chunksIn = (bytes: number): number => Math.ceil(bytes / CHUNK)

export { crc32 }

/** The memory of a typed array as bytes. */
export const asBytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** The checksum of every chunk, in order. */
export function checksums(bytes: Uint8Array): Uint32Array {
  return Uint32Array.from({ length: chunksIn(bytes.length) }, (_, i) =>
    crc32(bytes.subarray(i * CHUNK, (i + 1) * CHUNK)),
  )
}

/** The first chunk of `bytes` that is not what its checksum says; -1 where all are. Both begin at the same chunk. */
export function firstDamaged(bytes: Uint8Array, expected: Uint32Array): number {
  for (let i = 0; i < chunksIn(bytes.length); i++)
    if (crc32(bytes.subarray(i * CHUNK, (i + 1) * CHUNK)) !== expected[i]) return i
  return -1
}
