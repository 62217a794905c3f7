/** Decoding with given tokens instead of sampled ones: what `generate` computes at each step, as logits to compare with. */
import { PatchbayError } from '../../preload/errors'
import type { Tensor } from '../../preload/tensor'
import type { KeyValueCache } from './kv'
import type { Runnable } from './runnable'

/**
 * Feeds the first `from` tokens at once and the others one by one on cached keys and values.
 * @param from at least 1
 * @returns the logits behind tokens from−1 … n−1, [n − from + 1, d_vocab]
 * @throws PatchbayError what a run throws; `run.cancelled` between blocks
 */
export async function decodeGiven(
  stack: Runnable,
  tokens: readonly number[],
  from: number,
  signal?: AbortSignal,
): Promise<Tensor> {
  const { vocab } = stack
  const data = new Float32Array((tokens.length - from + 1) * vocab)
  let cache: KeyValueCache | undefined
  for (let length = from; length <= tokens.length; length++) {
    const row = tokens.slice(cache?.columns ?? 0, length)
    const result = await stack.forward({
      start: { kind: 'tokens', rows: [row] },
      cache,
      keepCache: true,
      logits: 'last',
      signal,
    })
    if (result.logits === null || result.cache === null)
      throw new PatchbayError('internal', 'A decoding step gave no logits.')
    data.set(result.logits.data, (length - from) * vocab)
    cache = stack.continues(result.cache) ? result.cache : undefined
  }
  return { shape: [tokens.length - from + 1, vocab], data }
}
