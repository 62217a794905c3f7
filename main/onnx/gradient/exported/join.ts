/** Writes what was built for an exported graph behind the graph's own nodes. */
import type { Declared, OnnxGraph, StoredTensor } from '../../exported/model'
import type { GraphBuilder } from '../../builder'
import type { Value } from '../../graph'
import { prune } from '../../prune'
import { lowered } from './lower'

/** The exported graph with the nodes of `g` behind its own. */
export function joined(
  graph: OnnxGraph,
  g: GraphBuilder,
  opset: number,
  known: (value: Value) => string | undefined,
  fed: ReadonlyMap<Value, string>,
  outputs: ReadonlyMap<Value, string>,
): OnnxGraph {
  const { nodes, initialisers } = prune({ ...g.finish(), outputs: [...outputs.keys()] })
  const taken = new Set<string>([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initialisers.keys(),
    ...graph.nodes.flatMap((node) => node.outputs),
    ...fed.values(),
    ...outputs.values(),
  ])
  const made = new Map<Value, string>()
  const nameOf = (value: Value): string => {
    const name = known(value) ?? made.get(value) ?? unique(`gradient/${value.name}`, taken)
    made.set(value, name)
    return name
  }
  const stored = initialisers.map(({ value, storage }): StoredTensor => {
    const { dtype, shape } = value
    return { name: nameOf(value), type: dtype, shape: shape.map(Number), storage }
  })
  const added = nodes.map((node) => lowered(node, opset, nameOf))
  const declare = ([value, name]: readonly [Value, string]): Declared => ({
    name,
    type: 'float32',
    shape: value.shape,
  })
  return {
    ...graph,
    nodes: [...graph.nodes, ...added],
    inputs: [...graph.inputs, ...[...fed].map(declare)],
    outputs: [...outputs.values()].map((name) => ({ name, type: 'float32', shape: null })),
    initialisers: new Map([...graph.initialisers, ...stored.map((tensor) => [tensor.name, tensor] as const)]),
  }
}

function unique(name: string, taken: Set<string>): string {
  let found = name
  for (let i = 2; taken.has(found); i++) found = `${name}/${i}`
  taken.add(found)
  return found
}
