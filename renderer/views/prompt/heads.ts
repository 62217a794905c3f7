/** The heads of all layers with what they do in a word, and in which order they are shown. */
import type { AttentionOverview } from '../../../preload/views'

export const headMetrics = ['previous', 'first', 'entropy'] as const
export type HeadMetric = (typeof headMetrics)[number]

export const metricTitles: Record<HeadMetric, string> = {
  previous: 'mean attention to the previous position',
  first: 'mean attention to the first position',
  entropy: 'mean entropy of attention in nats',
}

export interface Head {
  layer: number
  head: number
  /** Attention to the previous and first position, 0 to 1; entropy in nats. */
  value: number
  /** 0 to 1: how far the bar under the picture goes. */
  share: number
  /** [side, side], row-major. */
  pixels: Float32Array
}

/** Row-major over [layer, head]; values by the metric. */
export function headsOf(overview: AttentionOverview, metric: HeadMetric): Head[] {
  const [layers, heads, side] = overview.thumbnails.shape
  const { data } = { previous: overview.toPrevious, first: overview.toFirst, entropy: overview.entropy }[
    metric
  ]
  const highest = metric === 'entropy' ? Math.max(1e-9, ...data) : 1
  return Array.from({ length: layers * heads }, (_, i) => ({
    layer: Math.floor(i / heads),
    head: i % heads,
    value: data[i],
    share: Math.min(1, Math.max(0, data[i] / highest)),
    pixels: overview.thumbnails.data.subarray(i * side * side, (i + 1) * side * side),
  }))
}

/** Highest value first; equal ones by layer and head. */
export const sortedHeads = (heads: readonly Head[]): Head[] =>
  heads.toSorted((a, b) => b.value - a.value || a.layer - b.layer || a.head - b.head)
