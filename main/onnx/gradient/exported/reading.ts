/**
 * How an operator of an exported graph is differentiated: it is read as an operator of ours on the same values, or written
 * anew in such operators. The rules then serve it as they serve graphs that are built here.
 */
import { floatOf, integerOf, integersOf, textOf } from '../../exported/attributes'
import type { OnnxNode } from '../../exported/model'
import type { Node, Value } from '../../graph'
import type { Attributes, Operator } from '../../operators'
import type { Emitter } from '../emit'

/** A node of an exported graph, with its values as values of the graph in which gradients are built. */
export interface Foreign {
  readonly emit: Emitter
  readonly node: OnnxNode
  /** Version of ONNX's own operators. */
  readonly opset: number
  readonly inputs: readonly (Value | null)[]
  readonly outputs: readonly (Value | null)[]
  /** The input `index`, which must be there. */
  readonly x: (index: number) => Value
  /** The output `index` (the first, unless said), which must be there. */
  readonly y: (index?: number) => Value
  /** The elements of a small constant input, as far as they are known. */
  readonly numbers: (index: number) => readonly number[] | null
}

/**
 * The node as one of ours that computes the same outputs; or the outputs, computed anew (null for one that passes no
 * gradient); or why neither is possible.
 */
export type Reading = (foreign: Foreign) => Node | readonly (Value | null)[] | string

/** As `op`, on other inputs where given, with the same outputs. */
export const as = <O extends Operator>(
  { inputs: own, outputs }: Foreign,
  op: O,
  attributes: Attributes[O],
  inputs: readonly (Value | null)[] = own,
): Node<O> => ({ op, attributes, inputs, outputs })

/** The same operator, without attributes. */
export const plain =
  (
    op: {
      [O in Operator]: object extends Attributes[O] ? O : never
    }[Operator],
  ): Reading =>
  (foreign) =>
    as(foreign, op, {})

export const integer = ({ node }: Foreign, name: string, absent: number): number =>
  integerOf(node, name) ?? absent
export const flag = (foreign: Foreign, name: string, absent: 0 | 1): 0 | 1 =>
  integer(foreign, name, absent) === 0 ? 0 : 1
export const float = ({ node }: Foreign, name: string, absent: number): number =>
  floatOf(node, name) ?? absent
export const text = ({ node }: Foreign, name: string, absent: string): string => textOf(node, name) ?? absent

/** Whole numbers that older operator sets write as an attribute and newer ones as input `index`; null where absent. */
export function listed(foreign: Foreign, name: string, index: number): readonly number[] | null | 'unknown' {
  const attribute = integersOf(foreign.node, name)
  if (attribute !== null) return attribute
  const input = foreign.inputs[index] ?? null
  if (input === null) return null
  const known = input.integers
  if (known === undefined || known.some((dim) => typeof dim === 'string')) return 'unknown'
  return known.map(Number)
}
