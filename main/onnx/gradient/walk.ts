/** The one reverse walk of differentiation: from the cotangents to the targets, and over nothing else. */
import { PatchbayError } from '../../../preload/errors'
import { isFloat } from '../element-types'
import type { GraphBuilder } from '../builder'
import { shapeText, type Node, type Value } from '../graph'
import type { Operator } from '../operators'
import { Emitter } from './emit'
import { notDifferentiable, type Application, type Gradient } from './rule'
import { rules } from './rules'

/**
 * Adds to `g` the nodes that compute the gradients by `targets`.
 * @param nodes in topological order: the graph's own, or of another whose values are inputs of `g`
 * @returns the gradient by each target that the cotangents depend on
 */
export function walkBack(
  g: GraphBuilder,
  nodes: readonly Node[],
  cotangents: ReadonlyMap<Value, Value>,
  targets: readonly Value[],
): Map<Value, Value> {
  const emit = new Emitter(g)
  const gradients = new Map(cotangents)
  const depends = dependentOn(targets, nodes)
  for (const node of nodes.toReversed()) {
    const reached = node.outputs.some((value) => value !== null && gradients.has(value))
    if (!reached || !node.inputs.some((value) => value !== null && depends.has(value))) continue
    const parts = apply(emit, node, gradients)
    node.inputs.forEach((input, index) => {
      if (input === null || !depends.has(input) || parts === null) return
      accumulate(emit, gradients, node, input, partOf(node, parts, index))
    })
  }
  return new Map(targets.flatMap((target) => pair(target, gradients.get(target))))
}

const pair = (target: Value, gradient: Value | undefined): [Value, Value][] =>
  gradient === undefined ? [] : [[target, gradient]]

/** Values that change with a small change of a target. */
export function dependentOn(targets: readonly Value[], nodes: readonly Node[]): Set<Value> {
  const depends = new Set(targets)
  for (const { op, inputs, outputs } of nodes) {
    if (rules[op] === null || !inputs.some((value) => value !== null && depends.has(value))) continue
    for (const value of outputs) if (value !== null && isFloat(value.dtype)) depends.add(value)
  }
  return depends
}

function apply<O extends Operator>(
  emit: Emitter,
  { op, attributes, inputs, outputs }: Node<O>,
  gradients: ReadonlyMap<Value, Value>,
): readonly (Gradient | null)[] | null {
  const rule = rules[op]
  if (rule === null) return null
  const there = (values: readonly (Value | null)[], index: number, kind: string): Value => {
    const value = values[index] ?? null
    if (value === null)
      throw new PatchbayError('internal', `The gradient of ${op} needs its ${kind} ${index}.`)
    return value
  }
  const dys = outputs.map((value) => (value === null ? null : (gradients.get(value) ?? null)))
  const node: Application<O> = {
    emit,
    attributes,
    inputs,
    outputs,
    x: (index) => there(inputs, index, 'input'),
    y: (index = 0) => there(outputs, index, 'output'),
    // Operators that read it have one differentiable output, so it is there.
    get dy() {
      return there(dys, 0, 'gradient by output')
    },
    dys,
  }
  return rule(node)
}

function partOf(node: Node, parts: readonly (Gradient | null)[], index: number): Value {
  const part = parts[index] ?? null
  if (part !== null) return part()
  const output = node.outputs.find((value) => value !== null)?.name ?? ''
  throw notDifferentiable(
    `${node.op} (which computes ${output}) has no gradient by its input ${index}`,
    output,
  )
}

function accumulate(
  emit: Emitter,
  gradients: Map<Value, Value>,
  node: Node,
  input: Value,
  part: Value,
): void {
  const fits = part.shape.every((dim, i) => dim === input.shape[i] || typeof dim === 'string')
  if (part.shape.length !== input.shape.length || !fits || part.dtype !== input.dtype)
    throw new PatchbayError(
      'internal',
      `The gradient of ${node.op} by ${input.name} is ${shapeText(part.shape)}, not ${shapeText(input.shape)}.`,
    )
  const before = gradients.get(input)
  const sum =
    before === undefined
      ? part
      : emit.g.opAs({ dtype: input.dtype, shape: input.shape }, 'Add', [before, part], {}, 'gradient')
  gradients.set(input, sum)
}
