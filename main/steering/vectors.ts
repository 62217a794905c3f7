/**
 * Steering vectors by difference of means: the mean residual stream of positive texts minus that of negative ones
 * (contrastive activation addition: Rimsky et al. 2023, "Steering Llama 2 via Contrastive Activation Addition"; the
 * difference-in-means direction of Marks and Tegmark 2023).
 */
import { PatchbayError } from '../../preload/errors'
import { hookName, isResidual } from '../../preload/hooks'
import { runRequest } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { hookOf } from '../analysis/captures'
import type { AnalysisModel, RunOptions } from '../analysis/subject'
import { throwIfCancelled } from '../runtime/cancelled'
import { auc, pairedAccuracy } from './separation'

/** One side of a pair in tokens; `skip` leading tokens (a BOS, which is the same everywhere) are left out of a mean. */
export interface EncodedText {
  tokens: readonly number[]
  skip: number
}

export interface EncodedPair {
  positive: EncodedText
  negative: EncodedText
}

/** Which part of the text an activation stands for: its last token, or the mean over its tokens. */
export type TextPosition = 'last' | 'mean'

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

/** Rows of one run: enough to fill the machine, few enough that long texts fit. */
const BATCH_TOKENS = 2048

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
  const done = await activationsOf(
    model,
    { name: hookName(point), layer: point.layer },
    texts,
    position,
    options,
  )
  const positives = done.activations.filter((_, i) => i % 2 === 0)
  const negatives = done.activations.filter((_, i) => i % 2 === 1)
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
    residualNorm: done.residualNorm,
    positive,
    negative,
    accuracy: pairedAccuracy(positive, negative),
    auc: auc(positive, negative),
  }
}

/** The activation that stands for each text, and the mean norm over all their tokens. */
async function activationsOf(
  model: AnalysisModel,
  hook: { name: string; layer: number | null },
  texts: readonly EncodedText[],
  position: TextPosition,
  { signal, onPairs }: Pick<RunOptions, 'signal'> & { onPairs?: (done: number, total: number) => void },
): Promise<{ activations: Float64Array[]; residualNorm: number }> {
  const activations: Float64Array[] = new Array<Float64Array>(texts.length)
  let norms = 0
  let count = 0
  let finished = 0
  for (const batch of batches(texts)) {
    throwIfCancelled(signal)
    const request = runRequest.parse({
      model: model.facts.fingerprint,
      rows: batch.map((i) => texts[i].tokens),
      captures: [hook.name],
      logits: 'none',
      stopLayer: hook.layer === null ? undefined : hook.layer + 1,
    })
    const { captures } = await model.run({ request, tensors: {} }, { signal })
    batch.forEach((i, row) => {
      const { tokens, skip } = texts[i]
      const rows = rowsOf(captures[hook.name], row, tokens.length)
      // A text of nothing but a BOS is still a text.
      const read = rows.slice(Math.min(skip, tokens.length - 1))
      activations[i] = meanOf(position === 'last' ? read.slice(-1) : read)
      for (const vector of read) norms += Math.sqrt(dot(vector, vector))
      count += read.length
    })
    finished += batch.length
    onPairs?.(Math.floor(finished / 2), texts.length / 2)
  }
  return { activations, residualNorm: norms / count }
}

/** Indices of texts that travel together: similar lengths, so that little is padded; the order is by length, then index. */
function batches(texts: readonly EncodedText[]): number[][] {
  const order = texts
    .map((_, i) => i)
    .sort((a, b) => texts[a].tokens.length - texts[b].tokens.length || a - b)
  const groups: number[][] = []
  for (const i of order) {
    const group = groups.at(-1)
    if (group !== undefined && (group.length + 1) * texts[i].tokens.length <= BATCH_TOKENS) group.push(i)
    else groups.push([i])
  }
  return groups
}

/** Position by position, the vectors of one batch row of [batch, pos, d_model]. */
function rowsOf({ shape: [, positions, width], data }: Tensor, row: number, length: number): Float32Array[] {
  return Array.from({ length }, (_, position) => {
    const start = (row * positions + position) * width
    return data.subarray(start, start + width)
  })
}

function meanOf(vectors: readonly (Float32Array | Float64Array)[]): Float64Array {
  const mean = new Float64Array(vectors[0].length)
  for (const vector of vectors) vector.forEach((x, i) => (mean[i] += x / vectors.length))
  return mean
}

const subtract = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x - b[i])

function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}
