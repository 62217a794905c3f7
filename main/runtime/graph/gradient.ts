/**
 * What the differentiated graphs share: cotangents as inputs, gradients as outputs. A vector-Jacobian product recomputes the
 * forward values that its rules need; everything else of the forward graph is dropped.
 */
import { PatchbayError } from '../../../preload/errors'
import { gradients, prune } from '../../onnx/gradient'
import type { GraphBuilder } from '../../onnx/builder'
import type { Graph, Value } from '../../onnx/graph'
import type { AddWeight } from './context'
import { isQuantised } from './quantised'
import type { Taps } from './taps'
import type { Variant } from './variant'

/** What a differentiated graph is made for. */
export interface GradientVariant<Site extends string> {
  readonly ports: Variant<Site>['ports']
  /** Hook points whose gradients it gives out, beside those that it computes in any case. */
  readonly gradients: ReadonlySet<Site>
  /** Hook points that the metric reads: each has a cotangent of its own. */
  readonly cotangents: ReadonlySet<Site>
  /** Weights (by name) whose gradients it gives out. */
  readonly weights: ReadonlySet<string>
}

/** Equal variants have equal keys. */
export function gradientKey({ ports, gradients, cotangents, weights }: GradientVariant<string>): string {
  const kinds = [...ports].map(([site, list]) => `${site}:${list.join('+')}`)
  return [kinds, [...gradients], [...cotangents], [...weights]].map((part) => part.sort().join()).join('|')
}

/** Names of a differentiated graph's inputs and outputs. */
export const cotangentAt = (site: string): string => `cotangent/${site}`
export const gradientAt = (site: string): string => `gradient/${site}`
export const gradientOf = (weight: string): string => `gradient of ${weight}`

/** Adds weights as `add` does, and remembers the values of those that stay as they are. */
export function remembering(add: AddWeight): { add: AddWeight; values: ReadonlyMap<string, Value> } {
  const values = new Map<string, Value>()
  return {
    values,
    add: (g, weight) => {
      const added = add(g, weight)
      if (!isQuantised(added)) values.set(weight.name, added)
      return added
    },
  }
}

/**
 * Adds the backward pass and finishes the graph.
 * @param cotangents of values that the metric depends on; those at hook points are added as inputs
 * @param targets further values whose gradients are given out, by the outputs' names
 */
export function differentiated<Site extends string>(
  g: GraphBuilder,
  variant: GradientVariant<Site>,
  taps: Taps<Site>,
  weights: ReadonlyMap<string, Value>,
  cotangents: Map<Value, Value>,
  targets: ReadonlyMap<string, Value>,
): Graph {
  const wanted = new Map(targets)
  for (const [site, { value, dims }] of taps.found) {
    if (variant.cotangents.has(site))
      cotangents.set(value, g.reshape(g.input(cotangentAt(site), 'float32', dims), value.shape))
    wanted.set(gradientAt(site), value)
  }
  for (const [name, value] of weights) if (variant.weights.has(name)) wanted.set(gradientOf(name), value)
  const found = gradients(g, cotangents, [...wanted.values()])
  for (const [name, value] of wanted) {
    const gradient = found.get(value)
    if (gradient === undefined)
      throw new PatchbayError('internal', `There is no ${name} in ${g.finish().name}.`)
    g.output(gradient, name)
  }
  return prune(taps.withGiven(g.finish()))
}
