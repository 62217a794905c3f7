/**
 * Dimensions that stand out of the others at every position: transformers have a few whose values are hundreds of times the
 * rest ("massive activations", Sun et al. 2024; "outlier features", Dettmers et al. 2022).
 */
import type { OpenCollection } from './collection'
import type { MeasureOptions } from './measures'
import { streamRows } from './stream'
import { positionAxis, widthOf } from './vectors'

export interface OutlierDimension {
  dimension: number
  mean: number
  standardDeviation: number
  /** The value with the largest magnitude, and its row and position in the row. */
  largest: number
  row: number
  position: number
  /** Σx² of this dimension over that of all. */
  share: number
}

/** @returns dimensions by the magnitude of their largest value; values that are not finite are left out */
export async function outliers(
  collection: OpenCollection,
  output: string,
  count: number,
  rows: Int32Array | null,
  options: MeasureOptions = {},
): Promise<{ dimensions: OutlierDimension[]; width: number; positions: number }> {
  const asked = collection.output(output)
  const width = widthOf(asked)
  const hasPositions = positionAxis(asked) >= 0
  const sums = new Float64Array(width)
  const squares = new Float64Array(width)
  const counts = new Float64Array(width)
  const largest = new Float32Array(width)
  const rowOf = new Int32Array(width)
  const positionOf = new Int32Array(width)
  let positions = 0
  for await (const { row, stored, values } of streamRows(collection, output, { ...options, rows })) {
    const { data } = values
    const places = hasPositions ? collection.positionsOf(stored, output) : [0]
    positions += data.length / width
    for (let i = 0; i < data.length; i++) {
      const x = data[i]
      const d = i % width
      if (!Number.isFinite(x)) continue
      sums[d] += x
      squares[d] += x * x
      counts[d]++
      if (Math.abs(x) <= Math.abs(largest[d])) continue
      largest[d] = x
      rowOf[d] = row
      positionOf[d] = places[(i - d) / width]
    }
  }
  const all = squares.reduce((a, b) => a + b, 0)
  const order = Array.from({ length: width }, (_, d) => d).sort(
    (a, b) => Math.abs(largest[b]) - Math.abs(largest[a]) || a - b,
  )
  const dimensions = order.slice(0, count).map((dimension): OutlierDimension => {
    const n = Math.max(1, counts[dimension])
    const mean = sums[dimension] / n
    return {
      dimension,
      mean,
      standardDeviation: Math.sqrt(Math.max(0, squares[dimension] / n - mean * mean)),
      largest: largest[dimension],
      share: all === 0 ? 0 : squares[dimension] / all,
      row: rowOf[dimension],
      position: positionOf[dimension],
    }
  })
  return { dimensions, width, positions }
}
