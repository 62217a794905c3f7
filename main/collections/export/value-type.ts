/**
 * In which type an output's numbers are written: as float32, or in the type in which they are stored, where the format has it.
 * Nothing is rounded either way: stored float16 and bfloat16 go back to the very bits that they were read from.
 */
import type { CollectionExport, ExportType } from '../../../preload/collections'
import type { EntryStorage } from '../../cache/store/entry'
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from '../../models/formats/float16'

export type ValueType = 'float32' | 'float16' | 'bfloat16'

export const valueBytes: Readonly<Record<ValueType, number>> = { float32: 4, float16: 2, bfloat16: 2 }

/** NumPy, and what is read with it, has no bfloat16; text has digits. */
const shortTypes: Readonly<Record<CollectionExport, readonly ValueType[]>> = {
  safetensors: ['float16', 'bfloat16'],
  npy: ['float16'],
  npz: ['float16'],
  parquet: ['float16'],
  arrow: ['float16'],
  zarr: ['float16'],
  csv: [],
}

/**
 * @param storages in which the rows' values lie; int8 with its scales is no type of numbers, and a single row of float32 (one
 *   that a smaller type could not hold) makes all of the array float32
 */
export function valueType(
  storages: ReadonlySet<EntryStorage>,
  { format, dtype }: { format: CollectionExport; dtype: ExportType },
): ValueType {
  if (dtype === 'float32' || storages.size !== 1) return 'float32'
  const type = storages.has('F16') ? 'float16' : storages.has('BF16') ? 'bfloat16' : 'float32'
  return shortTypes[format].includes(type) ? type : 'float32'
}

const coders = {
  float16: { encode: encodeFloat16, decode: decodeFloat16 },
  bfloat16: { encode: encodeBfloat16, decode: decodeBfloat16 },
} as const

/** Numbers in their type, 16-bit ones as bits. */
export const encodedValues = (values: Float32Array, type: ValueType): Float32Array | Uint16Array =>
  type === 'float32' ? values : coders[type].encode(values)

/** Whether a type has exactly these numbers. */
export function hasExactly(values: Float32Array, type: ValueType): boolean {
  if (type === 'float32') return true
  const { encode, decode } = coders[type]
  const back = decode(encode(values))
  return values.every((value, i) => Object.is(value, back[i]))
}
