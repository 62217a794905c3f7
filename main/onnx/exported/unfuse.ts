/**
 * Takes apart the operators that ONNX Runtime's optimiser makes of an addition and a norm, so that the sum is a value
 * again: in graphs of transformers that sum is the residual stream.
 */
import { linksOf, type OnnxModel, type OnnxNode } from './model'

/** Fused operator → the norm in it, and how many inputs behind the two addends belong to the norm. */
const fused: ReadonlyMap<string, { readonly norm: string; readonly weights: number }> = new Map([
  ['SkipSimplifiedLayerNormalization', { norm: 'SimplifiedLayerNormalization', weights: 1 }],
  ['SkipLayerNormalization', { norm: 'LayerNormalization', weights: 2 }],
])

/** The same model with additions and norms apart; those whose mean or deviation is read stay as they are. */
export function unfuse(model: OnnxModel): OnnxModel {
  const { graph } = model
  if (!graph.nodes.some(isFused)) return model
  const names = new Set(graph.nodes.flatMap(({ outputs }) => outputs))
  const { producer } = linksOf(graph.nodes)
  const isProduct = (value: string): boolean => products.has(graph.nodes[producer.get(value) ?? -1]?.op)
  const nodes = graph.nodes.flatMap((node) => (isFused(node) ? takenApart(node, names, isProduct) : [node]))
  return { ...model, graph: { ...graph, nodes } }
}

const isFused = ({ domain, op, outputs }: OnnxNode): boolean =>
  domain === 'com.microsoft' && fused.has(op) && outputs.slice(1, 3).every((name) => name === '')

/** A bias belongs to the addend that comes out of a projection. */
function takenApart(node: OnnxNode, names: Set<string>, isProduct: (value: string) => boolean): OnnxNode[] {
  const { norm, weights } = fused.get(node.op) ?? { norm: '', weights: 0 }
  const [x, skip, ...rest] = node.inputs
  const bias = rest.at(weights) ?? ''
  const [kept, branch] = isProduct(x) ? [skip, x] : [x, skip]
  const add = (a: string, b: string, sum: string): OnnxNode => ({
    ...plain,
    op: 'Add',
    inputs: [a, b],
    outputs: [sum],
  })
  const sum = node.outputs.at(3) || unique(`${node.outputs[0]}/sum`, names)
  const biased = bias === '' ? branch : unique(`${branch}/biased`, names)
  return [
    ...(bias === '' ? [] : [add(branch, bias, biased)]),
    add(kept, biased, sum),
    {
      ...plain,
      op: norm,
      name: node.name,
      attributes: node.attributes,
      inputs: [sum, ...rest.slice(0, weights).filter((name) => name !== '')],
      outputs: [node.outputs[0]],
    },
  ]
}

const plain = { domain: '', name: '', attributes: [], captured: [], overload: '' }
const products: ReadonlySet<string | undefined> = new Set(['MatMul', 'Gemm', 'MatMulNBits', 'FusedMatMul'])

function unique(name: string, names: Set<string>): string {
  let found = name
  for (let i = 2; names.has(found); i++) found = `${name}/${i}`
  names.add(found)
  return found
}
