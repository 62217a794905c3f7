/** What a gradient rule is: from a node and the gradients of its outputs to the gradients of its inputs. */
import { PatchbayError } from '../../../preload/errors'
import type { Value } from '../graph'
import type { Attributes, Operator } from '../operators'
import { summedTo } from './broadcast'
import type { Emitter } from './emit'

/** A node to which a rule is applied. "Gradient" is always that of the metric by the value. */
export interface Application<O extends Operator = Operator> {
  readonly emit: Emitter
  readonly attributes: Attributes[O]
  readonly inputs: readonly (Value | null)[]
  readonly outputs: readonly (Value | null)[]
  /** The input `index`, which must be there. */
  readonly x: (index: number) => Value
  /** The output `index` (the first, unless said), which must be there. */
  readonly y: (index?: number) => Value
  /** Gradient by the first output: for operators with one. */
  readonly dy: Value
  /** Gradients by the outputs; null where the metric does not depend on one. */
  readonly dys: readonly (Value | null)[]
}

/** Adds the nodes that compute a gradient; called only where it is wanted. */
export type Gradient = () => Value

/** Gradients by the inputs, in order; null for one that has none (indices, shapes, codes). Trailing ones may be left out. */
export type Rule<O extends Operator = Operator> = (node: Application<O>) => readonly (Gradient | null)[]

/** A rule for every operator; null where the output does not change with small changes of the inputs. */
export type Rules = { readonly [O in Operator]: Rule<O> | null }

/** A rule that may give gradients in the output's shape: they are summed to the shapes of the inputs. */
export const broadcasting =
  <O extends Operator>(rule: Rule<O>): Rule<O> =>
  (node) => {
    const shapes = [...node.inputs, node.outputs[0]].flatMap((value) => (value ? [value.shape] : []))
    return rule(node).map((part, i) => part && (() => summedTo(node.emit, part(), node.x(i), shapes)))
  }

/** Computes once, when it is first asked for: what several of a rule's gradients share. */
export function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}

/** Where something can not be differentiated: found while the graph is built, before anything runs. */
export const notDifferentiable = (problem: string, field?: string): PatchbayError =>
  new PatchbayError('model.unsupported', `${problem}.`, {
    next: 'Ask for gradients by values behind it.',
    field,
  })
