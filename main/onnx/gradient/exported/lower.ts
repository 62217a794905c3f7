/** Nodes of ours in an exported graph, written for the operator set that the graph asks for. */
import { PatchbayError } from '../../../../preload/errors'
import type { OnnxNode } from '../../exported/model'
import type { Node, Value } from '../../graph'
import { domainOf } from '../../operators'
import { attributeProtos } from '../../serialise'

/** Operator sets from which on axes (sizes) are an input; before, they are an attribute. */
const asInput: Readonly<Record<string, { readonly from: number; readonly name: string }>> = {
  ReduceSum: { from: 13, name: 'axes' },
  ReduceMean: { from: 18, name: 'axes' },
  ReduceMax: { from: 18, name: 'axes' },
  Unsqueeze: { from: 13, name: 'axes' },
  Split: { from: 13, name: 'split' },
}

/** Operator sets that operators came with, where that is later than the oldest one that is run. */
function firstSet({ op, attributes }: Node): number {
  if ('reduction' in attributes && attributes.reduction === 'add') return 16
  if (op === 'ReduceSum' && 'noop_with_empty_axes' in attributes) return 13
  return (
    { Pad: 11, GatherND: 11, GatherElements: 11, ScatterND: 11, ScatterElements: 11, Clip: 11 }[
      op as string
    ] ?? 9
  )
}

const later: Readonly<Record<string, number>> = {
  Gelu: 20,
  RMSNormalization: 23,
  RotaryEmbedding: 23,
  Attention: 23,
}

/**
 * @param nameOf names of values in the exported graph
 * @throws PatchbayError `model.unsupported` where the operator set is too old for what the gradient needs
 */
export function lowered(node: Node, opset: number, nameOf: (value: Value) => string): OnnxNode {
  const { op, inputs, outputs, attributes } = node
  const needed = later[op] ?? firstSet(node)
  const moved = asInput[op]
  const isAttribute = moved !== undefined && opset < moved.from
  const list = inputs[1]?.integers
  const known = list !== undefined && list.every((dim) => typeof dim === 'number')
  if (opset < needed || (isAttribute && !known))
    throw new PatchbayError(
      'model.unsupported',
      `The graph is written for operator set ${opset}, in which its gradient can not be expressed (${op}).`,
      { next: `Export the model again with opset ${Math.max(needed, moved?.from ?? 0, 17)} or newer.` },
    )
  const name = (value: Value | null): string => (value === null ? '' : nameOf(value))
  return {
    domain: domainOf[op] ?? '',
    op,
    name: '',
    inputs: (isAttribute ? inputs.toSpliced(1, 1) : inputs).map(name),
    outputs: outputs.map(name),
    attributes: attributeProtos(isAttribute ? { ...attributes, [moved.name]: list } : attributes),
    captured: [],
    overload: '',
  }
}
