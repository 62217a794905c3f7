/** Direct logit attribution as a grid and as a list of parts. */
import type { DirectAttribution } from '../../../preload/attribution'

export interface Part {
  name: string
  value: number
  /** Where it lies in the grid; null for what has no layer. */
  cell: { row: number; column: number } | null
}

/** Whether attention adds something that belongs to no head. */
const hasBias = ({ attentionBias }: DirectAttribution): boolean => attentionBias.some((value) => value !== 0)

/** Columns of the grid: the heads, what attention adds besides them where it does, the MLP. */
export function columnsOf(result: DirectAttribution): string[] {
  const heads = Array.from({ length: result.heads.shape[1] }, (_, head) => String(head))
  return [...heads, ...(hasBias(result) ? ['bias'] : []), 'MLP']
}

/** [layer, column], row-major. */
export function gridOf(result: DirectAttribution): Float32Array {
  const { heads, attentionBias, mlps } = result
  const [layers, count] = heads.shape
  const width = columnsOf(result).length
  const grid = new Float32Array(layers * width)
  for (let layer = 0; layer < layers; layer++) {
    grid.set(heads.data.subarray(layer * count, (layer + 1) * count), layer * width)
    if (hasBias(result)) grid[layer * width + count] = attentionBias[layer]
    grid[layer * width + width - 1] = mlps[layer]
  }
  return grid
}

/** Every part, largest magnitude first. They sum to `total`. */
export function partsOf(result: DirectAttribution): Part[] {
  const grid = gridOf(result)
  const [layers, count] = result.heads.shape
  const width = columnsOf(result).length
  const name = (layer: number, column: number): string =>
    column < count
      ? `head ${layer}.${column}`
      : column === width - 1
        ? `MLP ${layer}`
        : `attention bias ${layer}`
  const parts: Part[] = [
    { name: 'embedding', value: result.embedding, cell: null },
    { name: 'constant', value: result.constant, cell: null },
  ]
  for (let row = 0; row < layers; row++)
    for (let column = 0; column < width; column++)
      parts.push({ name: name(row, column), value: grid[row * width + column], cell: { row, column } })
  return parts.sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
}
