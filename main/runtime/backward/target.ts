/** The distribution that a KL metric compares the model's with, as it was sent along. */
import type { Metric } from '../../../preload/metric'
import type { Tensor } from '../../../preload/tensor'
import { invalid, tensorNamed } from './faults'

/** Probabilities are float32 numbers of somebody else's softmax. */
const SUM_TOLERANCE = 1e-3

/**
 * The probabilities [d_vocab] of one row.
 * @throws PatchbayError `input.invalid` for another shape, numbers that are no distribution, and zeros in KL(m ‖ t)
 */
export function probabilities(
  vocab: number,
  metric: Extract<Metric, { kind: 'kl' }>,
  row: number,
  rows: number,
  tensors: Readonly<Record<string, Tensor>>,
): Float32Array {
  const { shape, data } = tensorNamed(metric.target, tensors)
  const each = shape.length === 2 && shape[0] === rows && shape[1] === vocab
  if (!each && !(shape.length === 1 && shape[0] === vocab))
    throw invalid(
      `The target distribution has the shape [${shape.join(', ')}], not [${vocab}] or [${rows}, ${vocab}]`,
      'Give one probability for each token of the vocabulary.',
    )
  const target = each ? data.subarray(row * vocab, (row + 1) * vocab) : data
  const sum = target.reduce((total, p) => total + p, 0)
  if (!(Math.abs(sum - 1) <= SUM_TOLERANCE) || target.some((p) => !(p >= 0)))
    throw invalid(
      `The target distribution of row ${row} is none: its numbers sum to ${sum}, or one is below 0`,
      'Give probabilities, not logits or log-probabilities.',
    )
  if (metric.direction === 'model-target' && target.includes(0))
    throw invalid(
      `The target distribution of row ${row} has zeros, so the divergence of the model from it is infinite`,
      'Use the direction target-model, or give every token some probability.',
    )
  // Float32 numbers sum to 1 only nearly.
  return target.map((p) => p / sum)
}
