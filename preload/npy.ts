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

/** An array as the bytes of a `.npy` file. @throws PatchbayError `input.invalid` where shape and data disagree */
export function encodeNpy(array: NpyArray): Uint8Array<ArrayBuffer> {
  const { type, shape, data } = array
  if (sizeOf(shape) !== data.length)
    throw new PatchbayError(
      'input.invalid',
      `An array of shape ${shape.join(' × ')} has not ${data.length} elements.`,
      { next: 'Give the shape that belongs to the data.' },
    )
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const text = `{'descr': '${npyDescriptions[type]}', 'fortran_order': False, 'shape': ${tuple}, }`
  // Version 1.0: two bytes of header length are plenty for a shape. Padded with spaces and a line feed to 64 bytes.
  const start = Math.ceil((10 + text.length + 1) / 64) * 64
  const bytes = new Uint8Array(start + data.byteLength).fill(0x20, 0, start)
  bytes.set([...npyMagic, 1, 0])
  new DataView(bytes.buffer).setUint16(8, start - 10, true)
  bytes.set(new TextEncoder().encode(text), 10)
  bytes[start - 1] = 0x0a
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start)
  return bytes
}
