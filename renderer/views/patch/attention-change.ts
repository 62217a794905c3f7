/** What a patch changes in one head's attention. */
import type { Tensor } from '../../../preload/tensor'

/**
 * Patched − base of one head.
 * @param patterns [2, head, q_pos, k_pos]: the patched run, then the base
 * @param from queries from here on: none before a patched position can change
 * @returns [q_pos − from, k_pos]; NaN where the key lies behind the query and can not be read
 */
export function attentionChange({ shape, data }: Tensor, head: number, from = 0): Float32Array {
  const [, heads, queries, keys] = shape
  const size = queries * keys
  const start = from * keys
  const patched = data.subarray(head * size + start, (head + 1) * size)
  const base = data.subarray((heads + head) * size + start, (heads + head + 1) * size)
  return patched.map((value, i) => (i % keys > from + Math.floor(i / keys) ? NaN : value - base[i]))
}
