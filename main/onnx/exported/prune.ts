/** Takes out of an exported graph what no output needs: a run computes the whole graph, whichever outputs are fetched. */
import { readsOf, type OnnxGraph, type OnnxNode } from './model'

/** The same graph without the nodes and weights that its outputs do not depend on. Its inputs stay. */
export function pruneExported(graph: OnnxGraph): OnnxGraph {
  const needed = new Set(graph.outputs.map(({ name }) => name))
  const nodes: OnnxNode[] = []
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue
    nodes.push(node)
    for (const name of readsOf(node)) needed.add(name)
  }
  const initialisers = new Map([...graph.initialisers].filter(([name]) => needed.has(name)))
  return { ...graph, nodes: nodes.reverse(), initialisers }
}
