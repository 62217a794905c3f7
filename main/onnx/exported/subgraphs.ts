/** What the subgraphs of a node (the branches of If, the bodies of Loop and Scan) read from the graph around them. */
import type { AttributeProto, GraphProto, NodeProto } from '../proto/onnx_pb'

const graphsIn = (attribute: AttributeProto): readonly GraphProto[] =>
  attribute.g === undefined ? attribute.graphs : [attribute.g, ...attribute.graphs]

/** The subgraphs of a node. */
export const subgraphsOf = (attributes: readonly AttributeProto[]): GraphProto[] =>
  attributes.flatMap(graphsIn)

/** Names that a node's subgraphs use without making them: values of the graph that the node is in. */
export function capturedNames(node: NodeProto): string[] {
  const found = new Set<string>()
  for (const graph of subgraphsOf(node.attribute)) for (const name of freeNames(graph)) found.add(name)
  return [...found]
}

function freeNames(graph: GraphProto): Set<string> {
  const made = new Set<string>()
  for (const { name } of [...graph.input, ...graph.initializer]) made.add(name)
  for (const node of graph.node) for (const name of node.output) made.add(name)
  const used = new Set(graph.output.map(({ name }) => name))
  for (const node of graph.node) for (const name of [...node.input, ...capturedNames(node)]) used.add(name)
  for (const name of made) used.delete(name)
  used.delete('')
  return used
}
