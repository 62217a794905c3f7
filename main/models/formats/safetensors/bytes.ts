/** A safetensors file that is already in memory: validated like one on disk, its tensors views into the given bytes. */
import { decodeFloat32 } from '../decode'
import { elementsOf, type PlainType } from '../storage'
import { headerLength, parseHeader, prefixBytes } from './header'

export interface DecodedTensor {
  storage: PlainType
  shape: readonly number[]
  /** Into the given bytes, not a copy; little-endian, not necessarily aligned. */
  bytes: Uint8Array
}

/**
 * @param label stands for the file in error messages
 * @throws PatchbayError `file.malformed`
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  label = 'safetensors data',
): { tensors: ReadonlyMap<string, DecodedTensor>; metadata: ReadonlyMap<string, string> } {
  const length = headerLength(bytes.subarray(0, prefixBytes), bytes.length, label)
  const header = parseHeader(bytes.subarray(prefixBytes, prefixBytes + length), bytes.length, label)
  const tensors = new Map(
    header.tensors.map(({ name, storage, shape, offset, byteLength }) => [
      name,
      { storage, shape, bytes: bytes.subarray(offset, offset + byteLength) },
    ]),
  )
  return { tensors, metadata: header.metadata }
}

/** A decoded tensor's elements as float32; see `Checkpoint.readFloat32`. */
export function float32Of(tensor: DecodedTensor): Float32Array {
  const out = new Float32Array(elementsOf(tensor.shape) ?? 0)
  decodeFloat32(tensor.storage, tensor.bytes, out)
  return out
}
