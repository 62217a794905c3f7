/** Linear layers and activation functions. */
import type { Activation, LinearSpec } from '../../models/spec'
import type { Weight } from '../../models/weights'
import type { Value } from '../../onnx/graph'
import type { GraphBuilder } from '../../onnx/builder'
import type { Context } from './context'
import { isQuantised, quantisedProduct, quantisedRows } from './quantised'

/**
 * x [tokens, inputs] → [tokens, outputs]. Gemm takes Hugging Face's [out, in] matrices as they lie in the file, with no
 * transposed copy.
 */
export function linear({ g, weight, matrix }: Context<string>, spec: LinearSpec, x: Value): Value {
  const bias = spec.bias === null ? [] : [weight(spec.bias)]
  const kept = spec.layout === 'out-in' ? matrix(spec.weight) : weight(spec.weight)
  if (!isQuantised(kept))
    return g.op('Gemm', [x, kept, ...bias], { transB: spec.layout === 'out-in' ? 1 : 0 })
  const y = quantisedProduct(g, kept, x)
  return bias.length === 0 ? y : g.op('Add', [y, ...bias], {})
}

/** Rows of a table [n, width]: indices of any shape → […, width]. */
export function rowsOf({ g, matrix }: Context<string>, table: Weight, indices: Value): Value {
  const kept = matrix(table)
  return isQuantised(kept) ? quantisedRows(g, kept, indices) : g.op('Gather', [kept, indices], { axis: 0 })
}

/** An activation function, element by element. */
export function activate(g: GraphBuilder, kind: Activation, x: Value): Value {
  switch (kind) {
    case 'silu':
      return g.op('Mul', [x, g.op('Sigmoid', [x], {})], {})
    case 'gelu':
      return g.op('Gelu', [x], { approximate: 'none' })
    case 'gelu_tanh':
      return g.op('Gelu', [x], { approximate: 'tanh' })
    case 'quick_gelu':
      return g.op('Mul', [x, g.op('Sigmoid', [g.op('Mul', [x, g.scalar(1.702)], {})], {})], {})
    case 'relu':
      return g.op('Relu', [x], {})
    case 'relu2': {
      const r = g.op('Relu', [x], {})
      return g.op('Mul', [r, r], {})
    }
    case 'tanh':
      return g.op('Tanh', [x], {})
    case 'sigmoid':
      return g.op('Sigmoid', [x], {})
  }
}

/** x · factor, or x itself for 1. */
export const multiplied = (g: GraphBuilder, x: Value, factor: number): Value =>
  factor === 1 ? x : g.op('Mul', [x, g.scalar(factor)], {})
