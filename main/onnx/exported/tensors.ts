/**
 * Tensors of an exported model: their types, shapes and sizes are checked, their numbers brought into one form (bytes as
 * they lie in memory), and data outside of the model is described. Whether that data exists is for the opener to see.
 */
import { elementBytes, elementTypeOf, elementTypes, type ElementType } from '../element-types'
import type { Storage } from '../graph'
import { TensorProto_DataLocation as DataLocation, type TensorProto } from '../proto/onnx_pb'
import { broken, shown, unsupported } from './faults'
import type { StoredTensor } from './model'

/**
 * @param own where the tensor's `raw_data` lies in the model's own file, if it was left there
 * @param ownFile name under which that file is reached from the session's folder
 * @throws PatchbayError `file.malformed`, `model.unsupported`, naming the tensor
 */
export function readTensor(
  proto: TensorProto,
  own: { readonly offset: number; readonly length: number } | undefined,
  ownFile: string,
): StoredTensor {
  const { name } = proto
  const field = name.slice(0, 200)
  const type = elementTypeOf(proto.dataType)
  if (type === null)
    throw unsupported(
      `the tensor ${shown(name)} has elements of a type that is not read (${proto.dataType})`,
      {
        field,
      },
    )
  const { shape, elements } = shapeOf(proto)
  const bytes = elementBytes(type, elements)
  const check = (length: number, what: string): void => {
    if (length !== bytes)
      throw broken(`the tensor ${shown(name)} takes ${bytes} bytes, but ${what} ${length}`, { field })
  }
  if (proto.dataLocation === DataLocation.EXTERNAL) {
    if (own !== undefined || proto.rawData.length > 0)
      throw broken(`the tensor ${shown(name)} lies both in the model and outside of it`, { field })
    const place = externalPlace(proto, bytes)
    check(place.length, 'its external data has')
    return { name, type, shape, storage: { kind: 'external', ...place } }
  }
  if (own !== undefined) {
    if (proto.rawData.length > 0)
      throw broken(`the tensor ${shown(name)} has two sets of raw data`, { field })
    check(own.length, 'the model holds')
    return { name, type, shape, storage: { kind: 'external', file: ownFile, ...own } }
  }
  const data = proto.rawData.length > 0 ? proto.rawData : typedData(proto, type)
  check(data.length, 'the model holds')
  return { name, type, shape, storage: { kind: 'inline', bytes: data } }
}

function shapeOf(proto: TensorProto): { shape: number[]; elements: number } {
  let elements = 1
  const shape = proto.dims.map((dim) => {
    elements *= Number(dim)
    if (dim < 0n || dim > 2n ** 53n)
      throw broken(`the tensor ${shown(proto.name)} has a dimension ${dim}`, { field: proto.name })
    return Number(dim)
  })
  if (!Number.isSafeInteger(elements))
    throw broken(`the tensor ${shown(proto.name)} has more elements than can be counted`, {
      field: proto.name,
    })
  return { shape, elements }
}

/** `external_data` is a list of keys and values: location, offset, length, checksum. */
function externalPlace(
  proto: TensorProto,
  bytes: number,
): Omit<Extract<Storage, { kind: 'external' }>, 'kind'> {
  const values = new Map(proto.externalData.map(({ key, value }) => [key, value]))
  const number = (key: string, absent: number): number => {
    const text = values.get(key)
    if (text === undefined) return absent
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(Number(text)))
      throw broken(`the external data of ${shown(proto.name)} has the ${key} ${shown(text)}`, {
        field: `${proto.name}.${key}`,
      })
    return Number(text)
  }
  const file = values.get('location') ?? ''
  if (file === '')
    throw broken(`the external data of ${shown(proto.name)} does not say in which file it lies`, {
      field: `${proto.name}.location`,
    })
  return { file, offset: number('offset', 0), length: number('length', bytes) }
}

/** Numbers in the protobuf's own lists, by the rules of onnx.proto, as bytes in memory. */
function typedData(proto: TensorProto, type: ElementType): Uint8Array {
  const { floatData, doubleData, int64Data, uint64Data, int32Data } = proto
  switch (type) {
    case 'float32':
      return bytesOf(Float32Array.from(floatData))
    case 'float64':
      return bytesOf(Float64Array.from(doubleData))
    case 'int64':
      return bytesOf(BigInt64Array.from(int64Data))
    case 'uint64':
      return bytesOf(BigUint64Array.from(uint64Data))
    case 'uint32':
      return bytesOf(Uint32Array.from(uint64Data, (value) => Number(BigInt.asUintN(32, value))))
    default: {
      const { bits } = elementTypes[type]
      if (bits === 32) return bytesOf(Int32Array.from(int32Data))
      // Narrower ones, also 16-bit floats by their bits, are held in the low bits of an int32 each.
      return bits === 16 ? bytesOf(Uint16Array.from(int32Data)) : bytesOf(Uint8Array.from(int32Data))
    }
  }
}

const bytesOf = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** The numbers of a small integer or float tensor; null for other types and for those that lie outside. */
export function numbersOf({ type, storage, shape }: StoredTensor): number[] | null {
  if (storage.kind !== 'inline') return null
  const { bytes } = storage
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = shape.reduce((product, dim) => product * dim, 1)
  const read = reader(type, view)
  return read === null ? null : Array.from({ length: count }, (_, i) => read(i))
}

function reader(type: ElementType, view: DataView): ((index: number) => number) | null {
  switch (type) {
    case 'float32':
      return (i) => view.getFloat32(4 * i, true)
    case 'float64':
      return (i) => view.getFloat64(8 * i, true)
    case 'int64':
      return (i) => Number(view.getBigInt64(8 * i, true))
    case 'int32':
      return (i) => view.getInt32(4 * i, true)
    case 'bool':
    case 'uint8':
      return (i) => view.getUint8(i)
    default:
      return null
  }
}
