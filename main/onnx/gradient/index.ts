/**
 * Reverse-mode differentiation, graph to graph: gradients are computed by nodes like all others, and can be differentiated
 * again. The walk and the table of rules are modelled on tinygrad's gradient.py and on jax-js.
 */
import type { GraphBuilder } from '../builder'
import type { Node, Value } from '../graph'
import type { Operator } from '../operators'
import { Emitter } from './emit'
import { dependentOn, walkBack } from './walk'

export { prune } from '../prune'

/**
 * Adds to `g`, behind the nodes that it holds, the nodes that compute a vector-Jacobian product.
 * @param cotangents value → the gradient of the metric by it that comes from outside, in the value's shape
 * @param targets inputs, initialisers, or values computed inside, all of float type
 * @returns the gradient by each target, in its shape; zeros for a target that the metric does not depend on
 * @throws PatchbayError `model.unsupported`, naming operator and value, where the way to a target has no gradient
 */
export function gradients(
  g: GraphBuilder,
  cotangents: ReadonlyMap<Value, Value>,
  targets: readonly Value[],
): Map<Value, Value> {
  keepPatterns(g, targets)
  const found = walkBack(g, [...g.nodes], cotangents, targets)
  const emit = new Emitter(g)
  return new Map(targets.map((target) => [target, found.get(target) ?? emit.zeros(target)]))
}

/** Attention on the way gives out the pattern, which is there in any case: computed once, not twice. */
function keepPatterns(g: GraphBuilder, targets: readonly Value[]): void {
  const depends = dependentOn(targets, g.nodes)
  for (const node of [...g.nodes]) {
    if (!isOperator(node, 'Attention') || node.outputs.length > 3) continue
    if (!node.inputs.some((value) => value !== null && depends.has(value))) continue
    const names = ['attention', 'present_key', 'present_value', 'pattern'].slice(node.outputs.length)
    g.widen(node, { ...node.attributes, qk_matmul_output_mode: 3 }, names)
  }
}

const isOperator = <O extends Operator>(node: Node, op: O): node is Node<O> => node.op === op
