/** Tensors and declared values as protobuf messages: what graphs built here and graphs built elsewhere are written with. */
import { create } from '@bufbuild/protobuf'
import { elementTypes, type ElementType } from './element-types'
import type { Dim, Storage } from './graph'
import {
  TensorProto_DataLocation as DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type TensorProto,
  type ValueInfoProto,
} from './proto/onnx_pb'

export interface TensorParts {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly Dim[]
  readonly storage: Storage
}

export function tensorProto({ name, type, shape, storage }: TensorParts): TensorProto {
  const head = { name, dataType: elementTypes[type].wire, dims: shape.map((dim) => BigInt(dim)) }
  if (storage.kind === 'inline') return create(TensorProtoSchema, { ...head, rawData: storage.bytes })
  return create(TensorProtoSchema, {
    ...head,
    dataLocation: DataLocation.EXTERNAL,
    externalData: [
      { key: 'location', value: storage.file },
      { key: 'offset', value: String(storage.offset) },
      { key: 'length', value: String(storage.length) },
    ],
  })
}

/** Open dimensions (`?…`, sums, products) are left without a name: the runtime takes what comes. */
export function valueInfo(value: {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly Dim[]
}): ValueInfoProto {
  const dim = value.shape.map((size) => {
    if (typeof size === 'number') return { value: { case: 'dimValue' as const, value: BigInt(size) } }
    return /[?+*]/.test(size) ? {} : { value: { case: 'dimParam' as const, value: size } }
  })
  const type = { elemType: elementTypes[value.type].wire, shape: { dim } }
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: { value: { case: 'tensorType', value: type } },
  })
}
