/** What the embedding's graphs are fed: token ids and rows of the position table, padded where rows are shorter. */
import type { TransformerSpec } from '../models/spec'
import type { Layout } from './layout'
import { int64s, type Feeds } from './session'

/** `tokens` [batch, pos], and `positions` [batch, pos] where positions are learned. */
export function embeddingFeeds(
  spec: TransformerSpec,
  { batch, queries, queryPositions }: Layout,
  rows: readonly (readonly number[])[],
): Feeds {
  const shape = [batch, queries]
  const ids = rows.flatMap((row) => [...row, ...Array<number>(queries - row.length).fill(0)])
  const feeds: Feeds = { tokens: int64s(ids, shape) }
  const table = spec.embedding.positions
  if (table === null) return feeds
  const last = table.table.shape[0] - 1
  const places = Array.from(queryPositions, (position) =>
    Math.min(last, Math.max(0, position) + table.offset),
  )
  return { ...feeds, positions: int64s(places, shape) }
}
