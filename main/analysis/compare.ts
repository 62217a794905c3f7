/** Two prompts side by side: aligned tokens, both lenses, how far the residual streams and the predictions are apart. */
import type { Tensor } from '../../preload/tensor'
import type { AlignedPair, AttentionComparison, Comparison, Mover } from '../../preload/views'
import { PatchbayError } from '../../preload/errors'
import { runRequest, type RunInput } from '../../preload/run'
import { align } from '../../preload/align'
import { attentionLayer } from './attention'
import { captureResiduals, gatherRows } from './captures'
import { largest, softmax } from './distribution'
import { lensMapOf } from './lens'
import { cosine, rowNorms } from './statistics'
import type { AnalysisModel, RunOptions } from './subject'

const MOVERS = 20

/**
 * Compares two prompts of any lengths.
 * - `leftNorms`, `rightNorms`: L2 norms of the residual streams, [point, pos];
 * - `cosines`: of the two residual streams at each point and aligned pair, [point, aligned];
 * - `divergences`: KL(left ‖ right) in nats of their logit-lens distributions, likewise; both NaN where a side is missing;
 * - `movers`: the tokens whose probability after the last position differs most.
 */
export async function comparePrompts(
  model: AnalysisModel,
  left: readonly number[],
  right: readonly number[],
  options: RunOptions = {},
): Promise<Comparison> {
  const alignment = align(left, right)
  const leftStream = await captureResiduals(model, left, options)
  const rightStream = await captureResiduals(model, right, options)
  const leftLens = await lensMapOf(model, left, leftStream, options.signal)
  const rightLens = await lensMapOf(model, right, rightStream, options.signal)
  return {
    left: leftLens,
    right: rightLens,
    alignment,
    leftNorms: normsOf(leftStream.activations),
    rightNorms: normsOf(rightStream.activations),
    ...(await distances(model, alignment, leftStream.activations, rightStream.activations, options.signal)),
    movers: await moversOf(model, left, right, options),
  }
}

function normsOf(streams: readonly Tensor[]): Tensor {
  const [positions, width] = streams[0].shape
  const data = new Float32Array(streams.length * positions)
  streams.forEach((stream, point) => data.set(rowNorms(stream.data, width), point * positions))
  return { shape: [streams.length, positions], data }
}

async function distances(
  model: AnalysisModel,
  alignment: readonly AlignedPair[],
  left: readonly Tensor[],
  right: readonly Tensor[],
  signal: AbortSignal | undefined,
): Promise<Pick<Comparison, 'cosines' | 'divergences'>> {
  const shape = [left.length, alignment.length]
  const cosines = new Float32Array(left.length * alignment.length).fill(NaN)
  const divergences = cosines.slice()
  const cells: { index: number; left: Place; right: Place }[] = []
  for (let point = 0; point < left.length; point++)
    alignment.forEach((pair, i) => {
      if (pair.left === null || pair.right === null) return
      cells.push({
        index: point * alignment.length + i,
        left: [point, pair.left],
        right: [point, pair.right],
      })
    })
  // Up to where two prompts part, their residual streams are the same; nothing needs to be read out there.
  const differing = cells.filter((cell) => {
    if (!sameRow(left, cell.left, right, cell.right)) return true
    cosines[cell.index] = 1
    divergences[cell.index] = 0
    return false
  })
  if (differing.length > 0) {
    const p = gatherRows(
      left,
      differing.map((cell) => cell.left),
    )
    const q = gatherRows(
      right,
      differing.map((cell) => cell.right),
    )
    const kl = await model.divergence(p, q, { signal })
    differing.forEach(({ index }, i) => {
      cosines[index] = cosine(rowOf(p, i), rowOf(q, i))
      divergences[index] = kl[i]
    })
  }
  return { cosines: { shape, data: cosines }, divergences: { shape, data: divergences } }
}

type Place = readonly [point: number, position: number]

const rowOf = ({ shape: [, width], data }: Tensor, row: number): Float32Array =>
  data.subarray(row * width, (row + 1) * width)

function sameRow(left: readonly Tensor[], [p, i]: Place, right: readonly Tensor[], [q, j]: Place): boolean {
  const a = rowOf(left[p], i)
  const b = rowOf(right[q], j)
  return a.every((x, d) => x === b[d])
}

/** Largest |p_right − p_left| after the last position of each, over the whole vocabulary. */
async function moversOf(
  model: AnalysisModel,
  left: readonly number[],
  right: readonly number[],
  options: RunOptions,
): Promise<Mover[]> {
  const leftLogits = await lastLogits(model, left, options)
  const rightLogits = await lastLogits(model, right, options)
  const leftProbabilities = softmax(leftLogits)
  const rightProbabilities = softmax(rightLogits)
  const ids = largest(
    leftProbabilities.map((p, id) => Math.abs(rightProbabilities[id] - p)),
    MOVERS,
  )
  return model.tokens(ids).map((info) => ({
    ...info,
    leftProbability: leftProbabilities[info.id],
    rightProbability: rightProbabilities[info.id],
    leftLogit: leftLogits[info.id],
    rightLogit: rightLogits[info.id],
  }))
}

async function lastLogits(
  model: AnalysisModel,
  tokens: readonly number[],
  options: RunOptions,
): Promise<Float32Array> {
  const input: RunInput = {
    request: runRequest.parse({ model: model.facts.fingerprint, rows: [tokens], logits: 'last' }),
    tensors: {},
  }
  const { logits } = await model.run(input, options)
  if (logits === null) throw new PatchbayError('internal', 'The run gave no logits.')
  return logits.data
}

/**
 * Attention patterns of one layer for both prompts, and right − left over aligned positions, [head, aligned, aligned];
 * NaN where a side has no such position.
 * @throws PatchbayError `input.invalid` for a layer that is not there
 */
export async function compareAttention(
  model: AnalysisModel,
  left: readonly number[],
  right: readonly number[],
  layer: number,
  options: RunOptions = {},
): Promise<AttentionComparison> {
  const leftPatterns = (await attentionLayer(model, left, layer, options)).patterns
  const rightPatterns = (await attentionLayer(model, right, layer, options)).patterns
  const difference = patternDifference(align(left, right), leftPatterns, rightPatterns)
  return { layer, left: leftPatterns, right: rightPatterns, difference }
}

function patternDifference(alignment: readonly AlignedPair[], left: Tensor, right: Tensor): Tensor {
  const [heads] = left.shape
  const size = alignment.length
  const data = new Float32Array(heads * size * size).fill(NaN)
  const at = ({ shape, data: values }: Tensor, head: number, q: number, k: number): number =>
    values[(head * shape[1] + q) * shape[2] + k]
  for (let head = 0; head < heads; head++)
    alignment.forEach((query, q) => {
      alignment.forEach((key, k) => {
        if (query.left === null || query.right === null || key.left === null || key.right === null) return
        data[(head * size + q) * size + k] =
          at(right, head, query.right, key.right) - at(left, head, query.left, key.left)
      })
    })
  return { shape: [heads, size, size], data }
}
