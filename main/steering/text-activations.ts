/** The activation that stands for each of many texts, at some hook points: of its last token, or the mean over its tokens. */
import { hookName, type HookPoint } from '../../preload/hooks'
import type { EncodedPrompt } from '../../preload/prompt'
import { runRequest } from '../../preload/run'
import { sizeOf, type Tensor } from '../../preload/tensor'
import type { AnalysisModel, RunOptions } from '../analysis/subject'
import { throwIfCancelled } from '../runtime/cancelled'

/** A text in tokens; `skip` leading tokens (a BOS, which is the same everywhere) are left out of a mean. */
export interface EncodedText {
  tokens: readonly number[]
  skip: number
}

/** Which part of the text an activation stands for: its last token, or the mean over its tokens. */
export type TextPosition = 'last' | 'mean'

export interface TextActivations {
  /** One a text [width], in their order; several axes of a position (heads) are joined. */
  activations: Float64Array[]
  /** Mean L2 norm over all tokens of all texts but the skipped ones. */
  meanNorm: number
}

/**
 * A first special token (BOS, or the template's opening) is the same in all texts and, as an attention sink, many times
 * longer than the others, so a mean leaves it out.
 */
export const readableText = ({ tokens }: Pick<EncodedPrompt, 'tokens'>): EncodedText => ({
  tokens: tokens.map(({ id }) => id),
  skip: tokens[0]?.special ? 1 : 0,
})

/** Rows of one run: enough to fill the machine, few enough that long texts fit. */
const BATCH_TOKENS = 2048

/**
 * Runs each text once, in batches of similar lengths.
 * @param points hook points of [batch, pos, …]
 * @param onTexts texts done and all texts
 * @returns one for each point, in their order
 */
export async function textActivations(
  model: Pick<AnalysisModel, 'facts' | 'run'>,
  points: readonly HookPoint[],
  texts: readonly EncodedText[],
  position: TextPosition,
  { signal, onTexts }: Pick<RunOptions, 'signal'> & { onTexts?: (done: number, total: number) => void } = {},
): Promise<TextActivations[]> {
  const hooks = points.map(hookName)
  const layers = points.map(({ layer }) => layer ?? Infinity)
  const last = Math.max(...layers)
  const found = hooks.map(() => ({ activations: new Array<Float64Array>(texts.length), norms: 0, count: 0 }))
  let finished = 0
  for (const batch of batches(texts)) {
    throwIfCancelled(signal)
    const request = runRequest.parse({
      model: model.facts.fingerprint,
      rows: batch.map((i) => texts[i].tokens),
      captures: hooks,
      logits: 'none',
      stopLayer: last === Infinity ? undefined : last + 1,
    })
    const { captures } = await model.run({ request, tensors: {} }, { signal })
    hooks.forEach((hook, h) => {
      const at = found[h]
      batch.forEach((i, row) => {
        const { tokens, skip } = texts[i]
        const rows = rowsOf(captures[hook], row, tokens.length)
        // A text of nothing but a BOS is still a text.
        const read = rows.slice(Math.min(skip, tokens.length - 1))
        at.activations[i] = meanOf(position === 'last' ? read.slice(-1) : read)
        for (const vector of read) at.norms += Math.sqrt(dot(vector, vector))
        at.count += read.length
      })
    })
    finished += batch.length
    onTexts?.(finished, texts.length)
  }
  return found.map(({ activations, norms, count }) => ({ activations, meanNorm: norms / count }))
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

/** Position by position, the vectors of one batch row of [batch, pos, …]. */
function rowsOf({ shape, data }: Tensor, row: number, length: number): Float32Array[] {
  const [, positions, ...rest] = shape
  const width = sizeOf(rest)
  return Array.from({ length }, (_, position) => {
    const start = (row * positions + position) * width
    return data.subarray(start, start + width)
  })
}

export function meanOf(vectors: readonly (Float32Array | Float64Array)[]): Float64Array {
  const mean = new Float64Array(vectors[0].length)
  for (const vector of vectors) vector.forEach((x, i) => (mean[i] += x / vectors.length))
  return mean
}

export function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}
