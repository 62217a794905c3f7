/**
 * Gradients of graphs that somebody else exported: their nodes are read as nodes of ours, the same walk and the same rules
 * build the backward pass, and what was built is written behind the graph's own nodes.
 */
import { isFloat } from '../../element-types'
import { inferValues } from '../../exported/infer/infer'
import type { OnnxGraph, OnnxModel } from '../../exported/model'
import { pruneExported } from '../../exported/prune'
import type { Site } from '../../exported/surgery'
import { GraphBuilder } from '../../builder'
import type { Value } from '../../graph'
import { Emitter } from '../emit'
import { notDifferentiable } from '../rule'
import { walkBack } from '../walk'
import { joined } from './join'
import { Lifted } from './lift'
import { nodesBetween } from './path'
import { readNodes, refuseUnread } from './read'
import { backInto, seenAs } from './seen'

export { reachedFrom } from './path'
export { readOperators } from './readings'

export interface ExportedCotangent {
  readonly site: Site
  /** The input to add for the gradient of the metric by the site that comes from outside; float32, in the site's layout. */
  readonly input: string
}

export interface ExportedTarget {
  readonly site: Site
  /** The output to add for the gradient by the site; float32, in its layout. */
  readonly output: string
}

/**
 * A graph that computes gradients, and of the forward pass only what they need.
 * @param model an exported model; its graph may be a part of the original, or one with ports
 * @returns a graph of the same model: its inputs and those of the cotangents, and as outputs the gradients alone
 * @throws PatchbayError `model.unsupported`, naming operator, node and value, where something on the way from the targets
 *   to the cotangents has no rule, or less is known of a value than its rule needs
 */
export function differentiateExported(
  model: OnnxModel,
  cotangents: readonly ExportedCotangent[],
  targets: readonly ExportedTarget[],
): OnnxGraph {
  const { graph } = model
  const known = inferValues(model)
  const g = new GraphBuilder(`gradient of ${graph.name}`)
  const emit = new Emitter(g)
  const lifted = new Lifted(g, known)
  const opset = model.opsets.get('') ?? 0
  const path = nodesBetween(
    graph.nodes,
    known,
    targets.map(({ site }) => site.value),
    cotangents.map(({ site }) => site.value),
  )
  refuseUnread(path)
  const nodes = path.flatMap((node) => readNodes(emit, node, lifted, known, opset))

  const fed = new Map<Value, string>()
  const outside = new Map<Value, Value>()
  for (const { site, input } of cotangents) {
    const value = lifted.value(site.value)
    const open = Array.from({ length: site.rank }, (_, axis) => `?${axis}`)
    const given = g.input(`cotangent ${input}`, 'float32', open)
    fed.set(given, input)
    const own = backInto(emit, given, site.view, value)
    const before = outside.get(value)
    outside.set(value, before === undefined ? own : emit.add(before, own))
  }
  const values = targets.map(({ site }) => lifted.value(site.value))
  for (const value of values)
    if (!isFloat(value.dtype))
      throw notDifferentiable(`There are no gradients by ${value.name}, which is no float`)
  const found = walkBack(g, nodes, outside, values)
  const outputs = new Map<Value, string>()
  targets.forEach(({ site, output }, i) => {
    const gradient = found.get(values[i]) ?? emit.zeros(values[i])
    outputs.set(g.op('Identity', [seenAs(emit, gradient, site.view)], {}), output)
  })
  return pruneExported(
    joined(
      graph,
      g,
      opset,
      (value) => lifted.nameOf(value) ?? fed.get(value) ?? outputs.get(value),
      fed,
      outputs,
    ),
  )
}
