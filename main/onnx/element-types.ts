/** The element types of ONNX tensors: their names here, their numbers on the wire, their sizes in memory. */
import { TensorProto_DataType as DataType } from './proto/onnx_pb'

export const elementTypes = {
  float32: { wire: DataType.FLOAT, bits: 32 },
  float16: { wire: DataType.FLOAT16, bits: 16 },
  bfloat16: { wire: DataType.BFLOAT16, bits: 16 },
  float64: { wire: DataType.DOUBLE, bits: 64 },
  int64: { wire: DataType.INT64, bits: 64 },
  int32: { wire: DataType.INT32, bits: 32 },
  int16: { wire: DataType.INT16, bits: 16 },
  int8: { wire: DataType.INT8, bits: 8 },
  uint64: { wire: DataType.UINT64, bits: 64 },
  uint32: { wire: DataType.UINT32, bits: 32 },
  uint16: { wire: DataType.UINT16, bits: 16 },
  uint8: { wire: DataType.UINT8, bits: 8 },
  bool: { wire: DataType.BOOL, bits: 8 },
  float8e4m3fn: { wire: DataType.FLOAT8E4M3FN, bits: 8 },
  float8e4m3fnuz: { wire: DataType.FLOAT8E4M3FNUZ, bits: 8 },
  float8e5m2: { wire: DataType.FLOAT8E5M2, bits: 8 },
  float8e5m2fnuz: { wire: DataType.FLOAT8E5M2FNUZ, bits: 8 },
  uint4: { wire: DataType.UINT4, bits: 4 },
  int4: { wire: DataType.INT4, bits: 4 },
} as const satisfies Record<string, { wire: DataType; bits: number }>
export type ElementType = keyof typeof elementTypes

const byWire = new Map<number, ElementType>(
  (Object.keys(elementTypes) as ElementType[]).map((name) => [elementTypes[name].wire, name]),
)

/** The element type with a number on the wire; null for texts, complex numbers and what is not known. */
export const elementTypeOf = (wire: number): ElementType | null => byWire.get(wire) ?? null

/** Bytes that `count` elements take; those of four bits lie two in a byte. */
export const elementBytes = (type: ElementType, count: number): number =>
  Math.ceil((count * elementTypes[type].bits) / 8)

export const isFloat = (type: ElementType | null): boolean =>
  type === 'float32' || type === 'float16' || type === 'bfloat16' || type === 'float64'

export const isInteger = (type: ElementType | null): boolean => type === 'int64' || type === 'int32'
