/** Tensors inside of nodes, in their attributes and subgraphs: they stay as they came, so they must bring their data along. */
import {
  TensorProto_DataLocation as DataLocation,
  type FunctionProto,
  type TensorProto,
} from '../proto/onnx_pb'
import type { AttributeProto } from '../proto/onnx_pb'
import { shownNode, unsupported } from './faults'
import type { OnnxNode } from './model'
import { domainOf } from './nodes'
import { subgraphsOf } from './subgraphs'

/**
 * The places of external data are checked for weights only; elsewhere nobody writes any.
 * @throws PatchbayError `model.unsupported`, naming the node
 */
export function checkInside(nodes: readonly OnnxNode[], functions: readonly FunctionProto[]): void {
  const inner = functions.flatMap(({ node }) => node)
  const all = [
    ...nodes,
    ...inner.map(({ domain, opType, name, attribute }) => ({
      domain: domainOf(domain),
      op: opType,
      name,
      attributes: attribute,
    })),
  ]
  for (const node of all)
    for (const tensor of tensorsIn(node.attributes))
      if (tensor.dataLocation === DataLocation.EXTERNAL)
        throw unsupported(`${shownNode(node)} has data outside of the model`, { field: node.name || node.op })
}

function* tensorsIn(attributes: readonly AttributeProto[]): Generator<TensorProto> {
  for (const { t, tensors } of attributes) {
    if (t !== undefined) yield t
    yield* tensors
  }
  for (const graph of subgraphsOf(attributes)) {
    yield* graph.initializer
    for (const { attribute } of graph.node) yield* tensorsIn(attribute)
  }
}
