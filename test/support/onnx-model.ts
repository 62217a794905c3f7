/** ONNX models written out by hand, as bytes: what tests of the reader, of surgery and of recognition open. */
import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from '../../main/onnx/proto/onnx_pb'

type Attribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly graph: GraphInit }
  | { readonly tensor: TensorInit }
type TensorInit = MessageInitShape<typeof TensorProtoSchema>
type NodeInit = MessageInitShape<typeof NodeProtoSchema>
type ValueInit = MessageInitShape<typeof ValueInfoProtoSchema>

export interface GraphInit {
  name?: string
  node: NodeInit[]
  initializer?: TensorInit[]
  input?: ValueInit[]
  output?: ValueInit[]
}

/** A node: `node('Add', ['a', 'b'], ['c'], {axis: 1})`. Numbers are integers; a float is `{float: x}`. */
export function node(
  opType: string,
  input: string[],
  output: string[],
  attributes: Record<string, Attribute> = {},
  rest: { name?: string; domain?: string } = {},
): NodeInit {
  const attribute = Object.entries(attributes).map(([name, value]) => {
    if (typeof value === 'number') return { name, type: AttributeType.INT, i: BigInt(value) }
    if (typeof value === 'string')
      return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) }
    if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float }
    if ('graph' in value) return { name, type: AttributeType.GRAPH, g: value.graph }
    if ('tensor' in value) return { name, type: AttributeType.TENSOR, t: value.tensor }
    return { name, type: AttributeType.INTS, ints: value.map(BigInt) }
  })
  return { opType, input, output, attribute, name: output[0] ?? opType, ...rest }
}

/** A value of the graph's boundary. */
export const value = (name: string, shape: (number | string)[], elemType = DataType.FLOAT): ValueInit => ({
  name,
  type: {
    value: {
      case: 'tensorType',
      value: {
        elemType,
        shape: {
          dim: shape.map((dim) =>
            typeof dim === 'number'
              ? { value: { case: 'dimValue', value: BigInt(dim) } }
              : { value: { case: 'dimParam', value: dim } },
          ),
        },
      },
    },
  },
})

const bytesOf = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

export const floatTensor = (name: string, dims: number[], data: ArrayLike<number>): TensorInit => ({
  name,
  dims: dims.map(BigInt),
  dataType: DataType.FLOAT,
  rawData: bytesOf(Float32Array.from(data)),
})

export const integerTensor = (name: string, dims: number[], data: readonly number[]): TensorInit => ({
  name,
  dims: dims.map(BigInt),
  dataType: DataType.INT64,
  rawData: bytesOf(BigInt64Array.from(data, BigInt)),
})

/** A float tensor whose data lies in another file. */
export const externalTensor = (name: string, dims: number[], place: Record<string, string>): TensorInit => ({
  name,
  dims: dims.map(BigInt),
  dataType: DataType.FLOAT,
  dataLocation: DataLocation.EXTERNAL,
  externalData: Object.entries(place).map(([key, text]) => ({ key, value: text })),
})

/** The bytes of a model. */
export const modelBytes = (graph: GraphInit, opsets: Record<string, number> = { '': 18 }): Uint8Array =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: 'hand',
      opsetImport: Object.entries(opsets).map(([domain, version]) => ({ domain, version: BigInt(version) })),
      graph: { name: 'graph', ...graph },
    }),
  )

/** y = x·w + b, the smallest model worth opening: w is large enough to be left in the file. */
export const smallGraph = (): GraphInit => ({
  node: [node('MatMul', ['x', 'w'], ['xw']), node('Add', ['xw', 'b'], ['y'])],
  initializer: [
    floatTensor(
      'w',
      [20, 20],
      Array.from({ length: 400 }, (_, i) => Math.sin(i)),
    ),
    floatTensor(
      'b',
      [20],
      Array.from({ length: 20 }, (_, i) => i),
    ),
  ],
  input: [value('x', ['batch', 20])],
  output: [value('y', ['batch', 20])],
})

/** Bytes in memory as a file that is read by position. */
export const sourceOf = (bytes: Uint8Array) => ({
  size: bytes.length,
  read: async (offset: number, length: number) => {
    if (offset + length > bytes.length) throw new Error(`read behind the end: ${offset} + ${length}`)
    return bytes.subarray(offset, offset + length)
  },
})
