/** Attention patterns: one layer in full, and small pictures with a few well-known scores for all layers at once. */
import type { Tensor } from '../../preload/tensor'
import type { AttentionLayer, AttentionOverview } from '../../preload/views'
import { throwIfCancelled } from '../runtime/cancelled'
import { capture, captureInput, checkLayer, requireBlocks, withoutBatch } from './captures'
import { evidenceOf } from './evidence'
import type { AnalysisModel, RunOptions } from './subject'

export const patternHook = (layer: number): string => `blocks.${layer}.attn.hook_pattern`

/** Patterns that one run may return, in bytes; a long prompt's overview is run by groups of layers. */
const PATTERN_BYTES = 96 * 2 ** 20

/**
 * Attention probabilities of one layer, [head, q_pos, k_pos]: each row sums to 1.
 * @throws PatchbayError `input.invalid` for a layer that is not there, `hook.unavailable` where its pattern is no value
 */
export async function attentionLayer(
  model: AnalysisModel,
  tokens: readonly number[],
  layer: number,
  options: RunOptions = {},
): Promise<AttentionLayer> {
  checkLayer(model, layer)
  const { evidence, activations } = await capture(model, tokens, [patternHook(layer)], options)
  return { evidence, layer, patterns: activations[0] }
}

/**
 * All heads of all layers: patterns averaged down to at most `side` × `side` cells, and per head
 * - `toFirst`: attention to the first position, mean over the queries after it,
 * - `toPrevious`: attention to the position before, mean over the same queries,
 * - `entropy`: −Σ p log p in nats, mean over all queries.
 * The first query sees only itself, so it says nothing about the first two; for a prompt of one token they are NaN.
 * @throws PatchbayError `hook.unavailable` where the patterns are no values of an exported graph
 * @param patternBytes bound on the patterns in memory at a time
 */
export async function attentionOverview(
  model: AnalysisModel,
  tokens: readonly number[],
  side: number,
  options: RunOptions = {},
  patternBytes = PATTERN_BYTES,
): Promise<AttentionOverview> {
  const { layers, heads } = model.facts
  requireBlocks(model)
  const cells = Math.min(side, tokens.length)
  const thumbnails = new Float32Array(layers * heads * cells * cells)
  const scores = {
    toFirst: new Float32Array(layers * heads),
    toPrevious: new Float32Array(layers * heads),
    entropy: new Float32Array(layers * heads),
  }
  const layerBytes = heads * tokens.length ** 2 * 4
  const together = Math.max(1, Math.floor(patternBytes / layerBytes))
  for (let first = 0; first < layers; first += together) {
    throwIfCancelled(options.signal)
    const end = Math.min(layers, first + together)
    const hooks = Array.from({ length: end - first }, (_, i) => patternHook(first + i))
    const input = captureInput(model, tokens, hooks, end < layers ? { stopLayer: end } : {})
    const { captures } = await model.run(input, { ...options, transient: together < layers })
    hooks.forEach((hook, i) => {
      const pattern = withoutBatch(captures, hook)
      for (let head = 0; head < heads; head++) {
        const index = (first + i) * heads + head
        const rows = headOf(pattern, head)
        thumbnails.set(thumbnail(rows, tokens.length, cells), index * cells * cells)
        const { toFirst, toPrevious, entropy } = headScores(rows, tokens.length)
        scores.toFirst[index] = toFirst
        scores.toPrevious[index] = toPrevious
        scores.entropy[index] = entropy
      }
    })
  }
  const shape = [layers, heads]
  return {
    // What stands for the overview as a request: all patterns in one run, as a machine with enough memory would make it.
    evidence: evidenceOf(
      model,
      captureInput(
        model,
        tokens,
        Array.from({ length: layers }, (_, i) => patternHook(i)),
      ),
    ),
    thumbnails: { shape: [layers, heads, cells, cells], data: thumbnails },
    toFirst: { shape, data: scores.toFirst },
    toPrevious: { shape, data: scores.toPrevious },
    entropy: { shape, data: scores.entropy },
  }
}

const headOf = ({ shape: [, queries, keys], data }: Tensor, head: number): Float32Array =>
  data.subarray(head * queries * keys, (head + 1) * queries * keys)

/** A pattern [size, size] as [cells, cells]: each cell the mean of its rectangle, masked places counted as 0. */
export function thumbnail(pattern: Float32Array, size: number, cells: number): Float32Array {
  const cellOf = Int32Array.from({ length: size }, (_, position) => Math.floor((position * cells) / size))
  const widths = new Int32Array(cells)
  for (const cell of cellOf) widths[cell]++
  const sums = new Float64Array(cells * cells)
  for (let q = 0; q < size; q++) {
    const row = cellOf[q] * cells
    for (let k = 0; k < size; k++) sums[row + cellOf[k]] += pattern[q * size + k]
  }
  return Float32Array.from(
    sums,
    (sum, cell) => sum / (widths[Math.floor(cell / cells)] * widths[cell % cells]),
  )
}

/** Scores of one head's pattern [size, size]; see `attentionOverview`. */
export function headScores(
  pattern: Float32Array,
  size: number,
): { toFirst: number; toPrevious: number; entropy: number } {
  let toFirst = 0
  let toPrevious = 0
  let entropy = 0
  for (let q = 0; q < size; q++) {
    const row = pattern.subarray(q * size, (q + 1) * size)
    if (q > 0) {
      toFirst += row[0]
      toPrevious += row[q - 1]
    }
    for (let k = 0; k < size; k++) if (row[k] > 0) entropy -= row[k] * Math.log(row[k])
  }
  return { toFirst: toFirst / (size - 1), toPrevious: toPrevious / (size - 1), entropy: entropy / size }
}
