/** One row's values out of a batch: its own positions only, so that padding never gets any further. */
import type { Tensor } from '../../preload/tensor'

/** Axes that count positions; keys are cut to the row and never chosen from. */
export const positionAxis = (dims: readonly string[]): number =>
  dims.findIndex((dim) => dim === 'pos' || dim === 'q_pos')

export interface RowPlace {
  /** Row of the batch. */
  row: number
  /** Its tokens. */
  length: number
  /** Ascending or in an order of their own. */
  positions: readonly number[]
}

/**
 * Values of a row at some positions, without the batch axis. Where they lie together in the batch the array is a view of it.
 * @param dims axes of the batch's tensor, `batch` first
 */
export function selectRow({ shape, data }: Tensor, dims: readonly string[], place: RowPlace): Tensor {
  const sizes = shape.slice(1)
  const size = sizes.reduce((product, n) => product * n, 1)
  const own = data.subarray(place.row * size, (place.row + 1) * size)
  const picks = dims.slice(1).map((dim, axis) => pick(dim, sizes[axis], place))
  const last = picks.findLastIndex((one) => one !== null)
  const taken = sizes.map((n, axis) => picks[axis]?.length ?? n)
  if (last === -1) return { shape: taken, data: own }
  const inner = sizes.slice(last + 1).reduce((product, n) => product * n, 1)
  const chosen = picks[last] ?? []
  const [first] = chosen
  if (last === 0 && chosen.every((index, i) => index === first + i))
    return { shape: taken, data: own.subarray(first * inner, (first + chosen.length) * inner) }

  const out = new Float32Array(taken.reduce((product, n) => product * n, 1))
  let starts = [0]
  let stride = size
  for (let axis = 0; axis <= last; axis++) {
    stride /= sizes[axis]
    const step = stride
    const indices = picks[axis] ?? Array.from({ length: sizes[axis] }, (_, i) => i)
    starts = starts.flatMap((start) => indices.map((index) => start + index * step))
  }
  starts.forEach((start, i) => out.set(own.subarray(start, start + inner), i * inner))
  return { shape: taken, data: out }
}

/** Indices that are taken of an axis; null for all. */
function pick(dim: string, size: number, { length, positions }: RowPlace): readonly number[] | null {
  if (dim === 'pos' || dim === 'q_pos') return positions
  return dim === 'k_pos' && length < size ? Array.from({ length }, (_, i) => i) : null
}
