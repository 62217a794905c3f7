/** Any storage type to float32: the one place that knows how each is read. */
import { decodeBfloat16, decodeFloat16, decodeFloat8E4M3, decodeFloat8E5M2 } from './float16'
import { dequantisers } from './quants'
import { isBlockType, unitOf, type PlainType, type StorageType } from './storage'

/**
 * Decodes `out.length` elements from the start of `bytes` (little-endian, whole blocks). Exact for floating types of 32
 * bits and fewer and for every block type; F64 and integers are rounded to the nearest float32, BOOL becomes 0 and 1.
 */
export function decodeFloat32(storage: StorageType, bytes: Uint8Array, out: Float32Array): void {
  if (isBlockType(storage)) dequantisers[storage](bytes, out, out.length / unitOf(storage).elements)
  else decodePlain(storage, bytes, out)
}

function decodePlain(storage: PlainType, bytes: Uint8Array, out: Float32Array): void {
  switch (storage) {
    case 'F32':
      new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes.subarray(0, out.byteLength))
      return
    case 'F16':
      decodeFloat16(view(Uint16Array, bytes, out.length), out)
      return
    case 'BF16':
      decodeBfloat16(view(Uint16Array, bytes, out.length), out)
      return
    case 'F8_E4M3':
      decodeFloat8E4M3(bytes.subarray(0, out.length), out)
      return
    case 'F8_E5M2':
      decodeFloat8E5M2(bytes.subarray(0, out.length), out)
      return
    case 'F64':
      return out.set(view(Float64Array, bytes, out.length))
    case 'I64':
      return setBigints(out, view(BigInt64Array, bytes, out.length))
    case 'U64':
      return setBigints(out, view(BigUint64Array, bytes, out.length))
    case 'I32':
      return out.set(view(Int32Array, bytes, out.length))
    case 'U32':
      return out.set(view(Uint32Array, bytes, out.length))
    case 'I16':
      return out.set(view(Int16Array, bytes, out.length))
    case 'U16':
      return out.set(view(Uint16Array, bytes, out.length))
    case 'I8':
      return out.set(view(Int8Array, bytes, out.length))
    case 'U8':
      return out.set(bytes.subarray(0, out.length))
    case 'BOOL':
      for (let i = 0; i < out.length; i++) out[i] = bytes[i] === 0 ? 0 : 1
  }
}

function setBigints(out: Float32Array, values: BigInt64Array | BigUint64Array): void {
  for (let i = 0; i < out.length; i++) out[i] = Number(values[i])
}

interface ViewConstructor<T> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T
}

/** `length` elements from the start of `bytes` as another type, copied only where they do not lie aligned. */
export function view<T>(Type: ViewConstructor<T>, bytes: Uint8Array, length: number): T {
  const aligned = bytes.byteOffset % Type.BYTES_PER_ELEMENT === 0
  // Not slice(): a Buffer's is another view of the same memory.
  const source = aligned ? bytes : new Uint8Array(bytes.subarray(0, length * Type.BYTES_PER_ELEMENT))
  return new Type(source.buffer, source.byteOffset, length)
}
