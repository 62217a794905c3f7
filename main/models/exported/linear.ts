/** Products with a weight, however an exporter writes them. */
import type { OnnxNode } from '../../onnx/exported/model'
import type { GraphView } from './graph-view'

const products: ReadonlySet<string> = new Set([
  'MatMul',
  'Gemm',
  'FusedMatMul',
  'MatMulNBits',
  'MatMulInteger',
  'QLinearMatMul',
])

/** Whether a node multiplies its first operand by a weight. */
export const isLinear = (view: GraphView, node: OnnxNode): boolean =>
  products.has(node.op) && !view.isConstant(node.inputs[0]) && view.isConstant(node.inputs[1])

/** Whether a node multiplies two activations. */
export const isProduct = (view: GraphView, node: OnnxNode): boolean =>
  products.has(node.op) && !view.isConstant(node.inputs[0]) && !view.isConstant(node.inputs[1])

const layout: ReadonlySet<string> = new Set([
  'Reshape',
  'Transpose',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Cast',
  'Identity',
  'Dropout',
])

/** Whether a node moves the elements of its first input about and changes none. */
export const isLayout = (node: OnnxNode): boolean => layout.has(node.op)

/** A value and its other layouts, as long as nothing else reads it. */
export function layoutTail(view: GraphView, value: string): string[] {
  const values = [value]
  for (;;) {
    const readers = view.readers(values[values.length - 1])
    if (readers.length !== 1 || !isLayout(readers[0])) return values
    values.push(readers[0].outputs[0])
  }
}

/**
 * A linear layer's result and what becomes of it by its bias and by layout alone, in order, as long as nothing else
 * reads it.
 */
export function linearTail(view: GraphView, product: string): string[] {
  const values = [product]
  for (;;) {
    const readers = view.readers(values[values.length - 1])
    if (readers.length !== 1) return values
    const [node] = readers
    const bias = node.op === 'Add' && node.inputs.some((name) => view.isConstant(name))
    if (!bias && !isLayout(node)) return values
    values.push(node.outputs[0])
  }
}
