/** Writes a graph of an exported model, or a part of one, as a model of its own. */
import { create, toBinary } from '@bufbuild/protobuf'
import {
  ModelProtoSchema,
  NodeProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from '../proto/onnx_pb'
import { tensorProto, valueInfo } from '../to-proto'
import type { Declared, OnnxGraph, OnnxModel, OnnxNode } from './model'

/** From IR version 4 on, weights need not be listed among the inputs. */
const LEAST_IR = 4

/**
 * The bytes of a model with `graph`, which is the model's own or was made from it. External data is written as
 * references: the session needs the folder that they were read for.
 */
export function writeModel(model: OnnxModel, graph: OnnxGraph): Uint8Array {
  // The runtime wants names of nodes to be distinct, and means nothing by them.
  const names = new Set<string>()
  const named = (node: OnnxNode): NodeProto => {
    const name = names.has(node.name) ? '' : node.name
    names.add(name)
    return nodeProto({ ...node, name })
  }
  const proto = create(ModelProtoSchema, {
    irVersion: BigInt(Math.max(LEAST_IR, model.irVersion)),
    producerName: 'patchbay',
    opsetImport: [...model.opsets].map(([domain, version]) => ({ domain, version: BigInt(version) })),
    functions: [...model.functions],
    graph: {
      name: graph.name,
      node: graph.nodes.map(named),
      initializer: [...graph.initialisers.values()].map(tensorProto),
      input: graph.inputs.map(declaredProto),
      output: graph.outputs.map(declaredProto),
    },
  })
  return toBinary(ModelProtoSchema, proto)
}

const nodeProto = ({ domain, op, name, inputs, outputs, attributes, overload }: OnnxNode): NodeProto =>
  create(NodeProtoSchema, {
    domain,
    opType: op,
    name,
    overload,
    input: [...inputs],
    output: [...outputs],
    attribute: [...attributes],
  })

/** A value whose type is not known is left to the runtime's own inference. */
function declaredProto({ name, type, shape }: Declared): ValueInfoProto {
  if (type === null) return create(ValueInfoProtoSchema, { name })
  if (shape !== null) return valueInfo({ name, type, shape })
  const open = valueInfo({ name, type, shape: [] })
  if (open.type?.value.case === 'tensorType') open.type.value.value.shape = undefined
  return open
}
