/** Writes a graph as an ONNX model: the protobuf bytes that a session is created from. */
import { create, toBinary } from '@bufbuild/protobuf'
import { elementTypes } from './element-types'
import type { DType, Graph, Node, Value } from './graph'
import { domainOf, domains, floatAttributes, IR_VERSION, OPSET } from './operators'
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  type AttributeProto,
  type NodeProto,
} from './proto/onnx_pb'
import { tensorProto, valueInfo } from './to-proto'

/** The model's bytes. External initialisers are written as references; their files must lie in the session's folder. */
export function serialise(graph: Graph): Uint8Array {
  const used = [...new Set(graph.nodes.flatMap(({ op }) => domainOf[op] ?? []))]
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(IR_VERSION),
    producerName: 'patchbay',
    opsetImport: [
      { domain: '', version: BigInt(OPSET) },
      ...used.map((domain) => ({ domain, version: BigInt(domains[domain]) })),
    ],
    graph: {
      name: graph.name,
      node: graph.nodes.map(nodeProto),
      initializer: graph.initialisers.map(({ value, storage }) => tensorProto({ ...typeOf(value), storage })),
      input: graph.inputs.map((value) => valueInfo(typeOf(value))),
      output: graph.outputs.map((value) => valueInfo(typeOf(value))),
    },
  })
  return toBinary(ModelProtoSchema, model)
}

const typeOf = ({ name, dtype, shape }: Value) => ({ name, type: dtype, shape })

function nodeProto(node: Node): NodeProto {
  return create(NodeProtoSchema, {
    opType: node.op,
    domain: domainOf[node.op],
    name: node.outputs.find((value) => value !== null)?.name ?? node.op,
    input: node.inputs.map((value) => value?.name ?? ''),
    output: node.outputs.map((value) => value?.name ?? ''),
    attribute: attributeProtos(node.attributes),
  })
}

/** Attributes of any operator that is written here; which of them are floats is known by their names. */
export const attributeProtos = (attributes: Readonly<Record<string, unknown>>): AttributeProto[] =>
  Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => attributeProto(name, value as AttributeValue))

type AttributeValue = number | string | readonly number[]

function attributeProto(name: string, value: AttributeValue): AttributeProto {
  if (name === 'to') return integer(name, elementTypes[value as DType].wire)
  if (typeof value === 'string')
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    })
  if (typeof value !== 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) })
  if (floatAttributes.has(name))
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value })
  return integer(name, value)
}

const integer = (name: string, value: number): AttributeProto =>
  create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) })
