/** The mean of the vocabulary's embeddings, as they enter the residual stream: a baseline that stands for no token. */
import { PatchbayError } from '../../../preload/errors'
import { runRequest } from '../../../preload/run'
import { throwIfCancelled } from '../../runtime/cancelled'
import type { AnalysisModel, RunOptions } from '../subject'

/** Tokens embedded at a time, at most. */
const TOGETHER = 2048

const known = new WeakMap<AnalysisModel, Float32Array>()

/**
 * Mean of hook_embed over all token ids, [d_model]. Computed once for an open model.
 * @throws PatchbayError `run.cancelled`, and what a run throws
 */
export async function meanEmbedding(model: AnalysisModel, options: RunOptions = {}): Promise<Float32Array> {
  const mean = known.get(model) ?? (await compute(model, options))
  known.set(model, mean)
  return mean
}

async function compute(model: AnalysisModel, { signal }: RunOptions): Promise<Float32Array> {
  const { vocab, contextLength, dModel, fingerprint } = model.facts
  const sum = new Float64Array(dModel)
  const size = Math.min(TOGETHER, contextLength)
  for (let start = 0; start < vocab; start += size) {
    throwIfCancelled(signal)
    const tokens = Array.from({ length: Math.min(size, vocab - start) }, (_, i) => start + i)
    const request = runRequest.parse({
      model: fingerprint,
      rows: [tokens],
      captures: ['hook_embed'],
      logits: 'none',
      stopLayer: 0,
    })
    const { captures } = await model.run({ request, tensors: {} }, { signal, transient: true })
    const { data } = captures.hook_embed
    for (let i = 0; i < data.length; i++) sum[i % dModel] += data[i]
  }
  if (!sum.every(Number.isFinite))
    throw new PatchbayError('run.failed', 'The mean embedding is not finite.', {
      next: 'Choose another baseline; the model’s embeddings hold numbers that are none.',
    })
  return Float32Array.from(sum, (x) => x / vocab)
}
