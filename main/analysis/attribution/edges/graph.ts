/**
 * The edge graph of a model (Elhage et al. 2021; Conmy et al. 2023): sources write to the residual stream, targets read from
 * it. Sources are in the order of computation, so what a target can see is a prefix of them.
 */
import type { Edge, EdgeSource, EdgeTarget } from '../../../../preload/attribution'
import { PatchbayError } from '../../../../preload/errors'
import type { TransformerSpec } from '../../../models/spec'

export interface EdgeGraph {
  readonly sources: readonly EdgeSource[]
  readonly targets: readonly EdgeTarget[]
  /** For each target how many of the sources it sees, from the first. */
  readonly visible: readonly number[]
  /** Number of the first edge into each target; edge `offsets[t] + s` goes from source s to target t. */
  readonly offsets: readonly number[]
  readonly count: number
  /** Sources before those of this block; for the number of blocks: all. */
  readonly before: readonly number[]
}

/**
 * @throws PatchbayError `model.unsupported` where what sublayers write does not simply add up to the residual stream
 */
export function edgeGraph(spec: TransformerSpec, name: string): EdgeGraph {
  spec.blocks.forEach((block, layer) => {
    const { topology, attention } = block
    const why =
      topology === 'post-norm' || topology === 'normed-residual'
        ? `block ${layer} norms the residual stream itself (${topology}), so what parts write does not add up`
        : attention.clip !== null
          ? `block ${layer} clips queries, keys and values`
          : null
    if (why !== null)
      throw new PatchbayError('model.unsupported', `${name} has no graph of edges between heads: ${why}.`, {
        next: 'Use attribution patching of heads and MLPs instead.',
        field: 'model',
      })
  })
  const sources: EdgeSource[] = [{ kind: 'embed' }]
  const targets: EdgeTarget[] = []
  const visible: number[] = []
  const before: number[] = []
  const reads = (target: EdgeTarget, count: number): void => {
    targets.push(target)
    visible.push(count)
  }
  spec.blocks.forEach(({ topology, attention: { heads, kvHeads } }, layer) => {
    const first = sources.length
    before.push(first)
    for (let head = 0; head < heads; head++) {
      reads({ kind: 'q', layer, head }, first)
      sources.push({ kind: 'head', layer, head })
    }
    for (const kind of ['k', 'v'] as const)
      for (let head = 0; head < kvHeads; head++) reads({ kind, layer, head }, first)
    reads({ kind: 'mlp', layer }, topology === 'parallel' ? first : sources.length)
    sources.push({ kind: 'mlp', layer })
  })
  before.push(sources.length)
  reads({ kind: 'logits' }, sources.length)
  const offsets: number[] = []
  let count = 0
  for (const seen of visible) {
    offsets.push(count)
    count += seen
  }
  return { sources, targets, visible, offsets, count, before }
}

/** The edge with a number. */
export function edgeAt({ sources, targets, offsets }: EdgeGraph, number: number): Edge {
  let low = 0
  let high = offsets.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (offsets[middle] <= number) low = middle
    else high = middle - 1
  }
  return { from: sources[number - offsets[low]], to: targets[low] }
}

/** Finds edges by what they join. */
export class EdgeNumbers {
  private readonly sources: ReadonlyMap<string, number>
  private readonly targets: ReadonlyMap<string, number>

  constructor(private readonly graph: EdgeGraph) {
    this.sources = new Map(graph.sources.map((source, i) => [textOf(source), i]))
    this.targets = new Map(graph.targets.map((target, i) => [textOf(target), i]))
  }

  /** @throws PatchbayError `input.invalid` for an edge that the graph does not have */
  of({ from, to }: Edge): number {
    const source = this.sources.get(textOf(from))
    const target = this.targets.get(textOf(to))
    if (source !== undefined && target !== undefined && source < this.graph.visible[target])
      return this.graph.offsets[target] + source
    throw new PatchbayError('input.invalid', `There is no edge from ${textOf(from)} to ${textOf(to)}.`, {
      next: 'Edges go from what is computed earlier to what reads it later.',
      field: 'circuits',
    })
  }
}

/** `head 3.1`, `q 4.0`, `mlp 2`, `embed`, `logits` */
export function textOf(node: EdgeSource | EdgeTarget): string {
  if ('head' in node) return `${node.kind} ${node.layer}.${node.head}`
  return 'layer' in node ? `${node.kind} ${node.layer}` : node.kind
}
