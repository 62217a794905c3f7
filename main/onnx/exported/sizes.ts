/**
 * Refuses graphs that would fill the memory with constants: a runtime computes what depends on nothing already when it
 * opens a graph. What depends on what is fed is not known here.
 */
import type { GraphProto } from '../proto/onnx_pb'
import { shownNode, unsupported } from './faults'
import { FreshSymbols } from './infer/dims'
import { elementsOf, inferNode, inferValues } from './infer/infer'
import type { Known } from './infer/known'
import type { OnnxModel, OnnxNode } from './model'
import { readNode } from './nodes'
import { subgraphsOf } from './subgraphs'

/** 8 GiB of float32. */
const MOST_ELEMENTS = 2 ** 31

/** @throws PatchbayError `model.unsupported`, naming the node */
export function checkSizes(model: OnnxModel): void {
  const values = inferValues(model)
  const opset = model.opsets.get('') ?? 0
  for (const node of model.graph.nodes) {
    for (const name of node.outputs) check(node, values.get(name))
    for (const graph of subgraphsOf(node.attributes)) checkInside(graph, values, opset)
  }
}

function checkInside(graph: GraphProto, outer: ReadonlyMap<string, Known>, opset: number): void {
  const values = new Map(outer)
  const fresh = new FreshSymbols()
  for (const { name } of graph.input) values.delete(name)
  for (const proto of graph.node) {
    const node = readNode(proto)
    inferNode({ node, values, fresh, opset }).forEach((known, i) => {
      check(node, known)
      if (node.outputs[i] !== '') values.set(node.outputs[i], known)
    })
    for (const inner of subgraphsOf(node.attributes)) checkInside(inner, values, opset)
  }
}

function check(node: OnnxNode, known: Known | undefined): void {
  const elements = elementsOf(known?.shape ?? null)
  if (elements !== null && elements > MOST_ELEMENTS)
    throw unsupported(`${shownNode(node)} makes a tensor of ${elements} elements`, {
      field: node.name || node.op,
    })
}
