/** Reads the nodes of an exported graph as nodes of ours, and names those that can not be. */
import { shown, shownNode } from '../../exported/faults'
import { unknown, type Known } from '../../exported/infer/known'
import type { OnnxNode } from '../../exported/model'
import type { Node, Value } from '../../graph'
import type { Emitter } from '../emit'
import { notDifferentiable } from '../rule'
import type { Lifted } from './lift'
import type { Foreign } from './reading'
import { readingOf } from './readings'

/** Names every operator without a reading before anything is built. */
export function refuseUnread(path: readonly OnnxNode[]): void {
  const unread = path.filter((node) => readingOf(node) === null)
  if (unread.length === 0) return
  const [first] = unread
  const others = new Set(unread.map(({ op }) => op))
  others.delete(first.op)
  const more = others.size === 0 ? '' : `, nor have ${[...others].map(shown).join(', ')}`
  throw notDifferentiable(
    `${shownNode(first)}, which computes ${shown(first.outputs[0] ?? '')}, has no rule for its gradient${more}`,
    first.op.slice(0, 200),
  )
}

/** A node as nodes of ours, whose last gives the node's own outputs. */
export function readNodes(
  emit: Emitter,
  node: OnnxNode,
  lifted: Lifted,
  known: ReadonlyMap<string, Known>,
  opset: number,
): Node[] {
  const lift = (name: string): Value | null => (name === '' ? null : lifted.value(name))
  const there = (values: readonly (Value | null)[], index: number): Value => {
    const value = values[index] ?? null
    if (value === null)
      throw notDifferentiable(`${shownNode(node)} lacks an input or output that it needs`, node.op)
    return value
  }
  const inputs = node.inputs.map(lift)
  // Outputs that are not floats, or that nobody can know, are none that gradients pass.
  const outputs = node.outputs.map((name) => (lowerable(known.get(name)) ? lift(name) : null))
  const foreign: Foreign = {
    emit,
    node,
    opset,
    inputs,
    outputs,
    x: (index) => there(inputs, index),
    y: (index = 0) => there(outputs, index),
    numbers: (index) => known.get(node.inputs[index] ?? '')?.numbers ?? null,
  }
  const before = emit.g.nodes.length
  const read = readingOf(node)?.(foreign) ?? 'it has no rule'
  if (typeof read === 'string')
    throw notDifferentiable(`${shownNode(node)} has no gradient: ${read}`, node.op.slice(0, 200))
  const written = emit.g.nodes.slice(before)
  if ('op' in read) return [...written, read]
  const same = read.flatMap((value, i): Node[] =>
    value === null
      ? []
      : [{ op: 'Identity', attributes: {}, inputs: [value], outputs: [outputs[i] ?? null] }],
  )
  return [...written, ...same]
}

const lowerable = ({ type, shape }: Known = unknown): boolean => type !== null && shape !== null
