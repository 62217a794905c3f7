/**
 * Cuts a graph at given values into consecutive parts. Each part computes its cut value from the one before and from
 * what earlier parts hand on: masks, rotary angles, sizes. What is constant is repeated where it is needed.
 */
import { PatchbayError } from '../../../preload/errors'
import { unknown, type Known } from './infer/known'
import {
  linksOf,
  readsOf,
  readsShapeOnly,
  type Declared,
  type OnnxGraph,
  type OnnxNode,
  type StoredTensor,
} from './model'

export interface Part {
  readonly graph: OnnxGraph
  /** The cut value that the part begins with; null for the first. */
  readonly from: string | null
  /** The cut value that it ends with; null for the last. */
  readonly to: string | null
  /** Values of earlier parts that it reads besides, by the part that makes them. */
  readonly carried: ReadonlyMap<string, number>
}

/** A value that passes by a cut: made in part `made`, read in part `read`. */
export interface Crossing {
  readonly value: string
  readonly made: number
  readonly read: number
}

/** A part for constants: they are made in each part anew. */
const ANYWHERE = -1

/**
 * @param cuts values in the order of computation, each made by a node; part k ends with cut k
 * @param known what is known of the graph's values
 * @throws PatchbayError `internal` where a cut is not made by a node, or does not depend on the one before
 */
export function cutGraph(
  graph: OnnxGraph,
  known: ReadonlyMap<string, Known>,
  cuts: readonly string[],
): Part[] {
  const levels = levelsOf(graph, known, cuts)
  const homes = homesOf(graph, levels)
  const places = new Map(cuts.map((cut, index) => [cut, index]))
  const nodes = Array.from({ length: cuts.length + 1 }, (_, part) => nodesOf(graph, levels, part))
  const reads = nodes.map((own) => new Set(own.flatMap(readsOf)))
  // A weight may itself be an output.
  for (const { name } of graph.outputs) if (graph.initialisers.has(name)) reads[0].add(name)
  const declared = (name: string): Declared => {
    const { type, shape } = known.get(name) ?? unknown
    return { name, type, shape }
  }
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]))
  return nodes.map((own, part): Part => {
    const made = new Set(own.flatMap((node) => node.outputs))
    const from = part === 0 ? null : cuts[part - 1]
    const carried = new Map<string, number>()
    const fed: Declared[] = []
    for (const name of reads[part]) {
      const input = inputs.get(name)
      if (input !== undefined) fed.push(input)
      else if (!made.has(name) && !graph.initialisers.has(name)) {
        fed.push(declared(name))
        if (name !== from) carried.set(name, homes.get(name) ?? 0)
      }
    }
    const later = reads.slice(part + 1)
    const given = [...made].filter((name) => {
      if (name === '' || homes.get(name) !== part) return false
      return places.get(name) === part || later.some((names) => names.has(name))
    })
    const outputs = graph.outputs.filter(({ name }) => homes.get(name) === part || outsideNodes(name, part))
    const named = new Set(outputs.map(({ name }) => name))
    return {
      graph: {
        ...graph,
        name: `${graph.name} ${part}`,
        nodes: own,
        inputs: fed,
        outputs: [...outputs, ...given.filter((name) => !named.has(name)).map(declared)],
        initialisers: only(graph.initialisers, reads[part]),
        // Of a part alone less may be known than of the whole.
        stated: new Map([...made].map((name) => [name, declared(name)])),
      },
      from,
      to: cuts[part] ?? null,
      carried,
    }
  })

  /** Outputs that no node makes (an input passed on) belong to the first part. */
  function outsideNodes(name: string, part: number): boolean {
    return part === 0 && !homes.has(name)
  }
}

/** Values that pass by cuts, other than from the first part. */
export function crossingsOf(parts: readonly Part[]): Crossing[] {
  return parts.flatMap(({ carried }, read) =>
    [...carried].flatMap(([value, made]) => (made > 0 ? [{ value, made, read }] : [])),
  )
}

/** For each node the part that it belongs to: behind every cut that it depends on. */
function levelsOf(graph: OnnxGraph, known: ReadonlyMap<string, Known>, cuts: readonly string[]): number[] {
  const { producer } = linksOf(graph.nodes)
  const behind = new Map(cuts.map((cut, index) => [cut, index + 1]))
  const level = new Map<string, number>()
  const levels = graph.nodes.map((node) => {
    const isConstant = node.outputs.every((name) => name === '' || known.get(name)?.constant === true)
    // How large a cut value is does not depend on what is put in its place.
    const step = (name: string): number =>
      (readsShapeOnly(node) ? undefined : behind.get(name)) ?? level.get(name) ?? 0
    const own = isConstant ? ANYWHERE : readsOf(node).reduce((most, name) => Math.max(most, step(name)), 0)
    for (const name of node.outputs) level.set(name, own)
    return own
  })
  cuts.forEach((cut, index) => {
    const node = producer.get(cut)
    if (node === undefined || levels[node] !== index)
      throw new PatchbayError('internal', `The graph ${graph.name} can not be cut at ${cut}.`)
  })
  return levels
}

function homesOf(graph: OnnxGraph, levels: readonly number[]): Map<string, number> {
  const homes = new Map<string, number>()
  graph.nodes.forEach((node, index) => {
    for (const name of node.outputs) homes.set(name, Math.max(0, levels[index]))
  })
  return homes
}

/** The nodes of a part, with the constants that it needs. */
function nodesOf(graph: OnnxGraph, levels: readonly number[], part: number): OnnxNode[] {
  const needed = new Set<string>(part === 0 ? graph.outputs.map(({ name }) => name) : [])
  const chosen: OnnxNode[] = []
  for (let index = graph.nodes.length - 1; index >= 0; index--) {
    const node = graph.nodes[index]
    const wanted = levels[index] === ANYWHERE && node.outputs.some((name) => needed.has(name))
    if (levels[index] !== part && !wanted) continue
    chosen.push(node)
    for (const name of readsOf(node)) needed.add(name)
  }
  return chosen.reverse()
}

const only = (
  tensors: ReadonlyMap<string, StoredTensor>,
  names: ReadonlySet<string>,
): Map<string, StoredTensor> => new Map([...tensors].filter(([name]) => names.has(name)))
