/** NumPy's `.npy`, written: one array with a small header (numpy/lib/format.py, version 1.0), little-endian, row-major. */
import { PatchbayError } from './errors'
import { sizeOf } from './tensor'

/** An array by its element type. float16 is kept as its bits, bool as 0 and 1. */
export type NpyArray = { shape: readonly number[] } & (
  | { type: 'float64'; data: Float64Array }
  | { type: 'float32'; data: Float32Array }
  | { type: 'float16'; data: Uint16Array }
  | { type: 'int64'; data: BigInt64Array }
  | { type: 'int32'; data: Int32Array }
  | { type: 'uint8' | 'bool'; data: Uint8Array }
)
export type NpyType = NpyArray['type']

/** Element types as the header names them. */
export const npyDescriptions: Readonly<Record<NpyType, string>> = {
  float64: '<f8',
  float32: '<f4',
  float16: '<f2',
  int64: '<i8',
  int32: '<i4',
  uint8: '|u1',
  bool: '|b1',
}

export const npyMagic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]

/** The bytes of a `.npy` file before its elements; a multiple of 64. */
export function npyHeader(type: NpyType, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const text = `{'descr': '${npyDescriptions[type]}', 'fortran_order': False, 'shape': ${tuple}, }`
  // Version 1.0: two bytes of header length are plenty for a shape. Padded with spaces and a line feed to 64 bytes.
  const bytes = new Uint8Array(Math.ceil((10 + text.length + 1) / 64) * 64).fill(0x20)
  bytes.set([...npyMagic, 1, 0])
  new DataView(bytes.buffer).setUint16(8, bytes.length - 10, true)
  bytes.set(new TextEncoder().encode(text), 10)
  bytes[bytes.length - 1] = 0x0a
  return bytes
}

/** An array as the bytes of a `.npy` file. @throws PatchbayError `input.invalid` where shape and data disagree */
export function encodeNpy({ type, shape, data }: NpyArray): Uint8Array<ArrayBuffer> {
  if (sizeOf(shape) !== data.length)
    throw new PatchbayError(
      'input.invalid',
      `An array of shape ${shape.join(' × ')} has not ${data.length} elements.`,
      { next: 'Give the shape that belongs to the data.' },
    )
  const header = npyHeader(type, shape)
  const bytes = new Uint8Array(header.length + data.byteLength)
  bytes.set(header)
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), header.length)
  return bytes
}
