/** A softmax over the last axis with the parts that readings of it need. */
import type { Value } from '../../onnx/graph'
import type { GraphBuilder } from '../../onnx/builder'

/** Of logits y [rows, n]: `max` y [rows, 1], `shifted` y − max y, `p` their softmax, `peak` max p = 1 / Σ exp shifted [rows, 1]. */
export function softmaxParts(g: GraphBuilder, logits: Value) {
  const max = maxOfRow(g, logits)
  const shifted = g.op('Sub', [logits, max], {})
  const p = g.op('Softmax', [shifted], { axis: -1 })
  return { max, shifted, p, peak: maxOfRow(g, p) }
}

export const maxOfRow = (g: GraphBuilder, x: Value): Value =>
  g.op('ReduceMax', [x, g.integers([-1])], { keepdims: 1 })

export const sumOfRow = (g: GraphBuilder, x: Value, keepdims: 0 | 1): Value =>
  g.op('ReduceSum', [x, g.integers([-1])], { keepdims })
