/** What the child stores of a set: parent and child make the same, so that the parent knows every number. */
import { rowKey, type RowRequest } from '../../../main/cache/row-request'
import type { PutItem } from '../../../main/cache/store/store'

export function childItems(set: string): PutItem[] {
  const seed = [...set].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 100_003, 7)
  const request: RowRequest = {
    version: 1,
    model: 'cd'.repeat(32),
    precision: 'float32',
    provider: 'cpu',
    tokens: [seed, 1, 2, 3],
    interventions: [],
  }
  return (['float32', 'int8'] as const).map((dtype, i) => ({
    row: rowKey(request),
    request,
    output: `blocks.${i}.hook_resid_post`,
    dtype,
    shape: [4, 600],
    // Halves and whole numbers up to 127, which int8 with scale 1 keeps exactly.
    data: Float32Array.from({ length: 2400 }, (_, at) => (at % 600 === 0 ? 127 : (seed + at * 7 + i) % 100)),
  }))
}
