/** Takes out of a graph what no output needs: a run computes the whole graph, whichever outputs are fetched. */
import type { Graph, Node, Value } from './graph'

/** The same graph without the nodes and initialisers that its outputs do not depend on. Its inputs stay. */
export function prune(graph: Graph): Graph {
  const needed = new Set<Value>(graph.outputs)
  const nodes: Node[] = []
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((value) => value !== null && needed.has(value))) continue
    nodes.push(node)
    for (const value of node.inputs) if (value !== null) needed.add(value)
  }
  const initialisers = graph.initialisers.filter(({ value }) => needed.has(value))
  return { ...graph, nodes: nodes.reverse(), initialisers }
}
