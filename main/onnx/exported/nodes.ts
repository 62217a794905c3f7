/** Nodes as they come out of the protobuf. */
import type { NodeProto } from '../proto/onnx_pb'
import type { OnnxNode } from './model'
import { capturedNames } from './subgraphs'

/** `ai.onnx` and the empty name are the same domain. */
export const domainOf = (domain: string): string => (domain === 'ai.onnx' ? '' : domain)

export function readNode(proto: NodeProto): OnnxNode {
  return {
    domain: domainOf(proto.domain),
    op: proto.opType,
    name: proto.name,
    inputs: proto.input,
    outputs: proto.output,
    attributes: proto.attribute,
    captured: capturedNames(proto),
    overload: proto.overload,
  }
}
