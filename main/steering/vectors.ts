/**
 * Steering vectors by difference of means: the mean residual stream of positive texts minus that of negative ones
 * (contrastive activation addition: Rimsky et al. 2023, "Steering Llama 2 via Contrastive Activation Addition"; the
 * difference-in-means direction of Marks and Tegmark 2023).
 */
import { PatchbayError } from '../../preload/errors'
import { hookName, isResidual } from '../../preload/hooks'
import { hookOf } from '../analysis/captures'
import type { AnalysisModel, RunOptions } from '../analysis/subject'
import { auc, pairedAccuracy } from './separation'
import { dot, meanOf, textActivations, type EncodedText, type TextPosition } from './text-activations'

export interface EncodedPair {
  positive: EncodedText
  negative: EncodedText
}

export interface DifferenceVector {
  /** mean(positive) − mean(negative), [d_model]. */
  vector: Float32Array
  /** L2 norm of it. */
  norm: number
  /** Mean L2 norm of the residual stream at the hook point, over all tokens of all texts but the skipped ones. */
  residualNorm: number
  /** Projection h·v̂ of each pair's two activations on the unit direction. */
  positive: number[]
  negative: number[]
  /** Share of pairs whose positive side projects higher, and area under the ROC curve over all texts. */
  accuracy: number
  auc: number
}

/**
 * The difference of means of contrast pairs at a hook point of the residual stream, accumulated in float64.
 * @param onPairs texts done and all texts
 * @throws PatchbayError `hook.unknown`, `hook.unavailable` (also for hook points off the residual stream),
 * `input.invalid` where there is no pair or the two sides do not differ
 */
export async function meanDifference(
  model: AnalysisModel,
  hook: string,
  pairs: readonly EncodedPair[],
  position: TextPosition,
  options: Pick<RunOptions, 'signal'> & { onPairs?: (done: number, total: number) => void } = {},
): Promise<DifferenceVector> {
  const point = hookOf(model, hook)
  if (!isResidual(point))
    throw new PatchbayError('hook.unavailable', `A steering vector can not be made at ${hookName(point)}.`, {
      field: 'hook',
      next: 'Choose a hook point on the residual stream: hook_resid_pre, hook_resid_mid or hook_resid_post.',
    })
  if (pairs.length === 0)
    throw new PatchbayError('input.invalid', 'There are no contrast pairs.', {
      field: 'pairs',
      next: 'Give at least one pair.',
    })

  const texts = pairs.flatMap(({ positive, negative }) => [positive, negative])
  const { signal, onPairs } = options
  const [at] = await textActivations(model, [point], texts, position, {
    signal,
    onTexts: (done, total) => onPairs?.(Math.floor(done / 2), total / 2),
  })
  const positives = at.activations.filter((_, i) => i % 2 === 0)
  const negatives = at.activations.filter((_, i) => i % 2 === 1)
  const difference = subtract(meanOf(positives), meanOf(negatives))
  const norm = Math.sqrt(dot(difference, difference))
  if (!(norm > 0) || !Number.isFinite(norm))
    throw new PatchbayError(
      'input.invalid',
      'The two sides of the contrast pairs have the same mean activation.',
      {
        field: 'pairs',
        next: 'Give pairs whose sides differ, and read them where they differ: the last token may be the same in both.',
      },
    )
  const project = (activation: Float64Array): number => dot(activation, difference) / norm
  const positive = positives.map(project)
  const negative = negatives.map(project)
  return {
    vector: Float32Array.from(difference),
    norm,
    residualNorm: at.meanNorm,
    positive,
    negative,
    accuracy: pairedAccuracy(positive, negative),
    auc: auc(positive, negative),
  }
}

const subtract = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x - b[i])
