/** Cross-entropy of logits against target tokens, and its gradient by the logits, written out: both need the same softmax. */
import type { GraphBuilder } from '../../onnx/builder'
import type { Value } from '../../onnx/graph'

/**
 * L = mean over rows of log Σ exp x − x_target (nats), and ∂L/∂x = (softmax x − onehot) / rows.
 * @param logits [rows, vocab]
 * @param targets [rows, 1] int64
 * @returns loss [], gradient [rows, vocab]
 */
export function crossEntropy(
  g: GraphBuilder,
  logits: Value,
  targets: Value,
): { loss: Value; gradient: Value } {
  const last = g.integers([-1])
  const shifted = g.op('Sub', [logits, g.op('ReduceMax', [logits, last], { keepdims: 1 })], {})
  const p = g.op('Softmax', [shifted], { axis: -1 })
  // The largest probability is 1 / Σ exp of what is shifted by the largest logit.
  const peak = g.op('ReduceMax', [p, last], { keepdims: 1 })
  const target = g.op('GatherElements', [shifted, targets], { axis: 1 })
  const logPeak = g.op('Log', [peak], {})
  const likelihood = g.op('Add', [target, logPeak], {})
  const mean = g.op('ReduceMean', [likelihood, g.integers([0, 1])], { keepdims: 0 })
  const loss = g.op('Neg', [mean], {})

  const rows = g.op('Cast', [g.op('Shape', [targets], { start: 0, end: 1 })], { to: 'float32' })
  const share = g.op('Div', [g.scalar(1), rows], {})
  const minus = g.op('Expand', [g.op('Neg', [share], {}), g.op('Shape', [targets], {})], {})
  const scaled = g.op('Mul', [p, share], {})
  const gradient = g.op('ScatterElements', [scaled, targets, minus], { axis: 1, reduction: 'add' })
  return { loss, gradient }
}
