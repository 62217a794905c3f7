/**
 * Which part of an activation an intervention means, in one batch of columns: rows, positions, heads, units become a mask
 * and a value of the smallest shapes that broadcast to the hook point.
 */
import { PatchbayError } from '../../preload/errors'
import type { PositionSet } from '../../preload/run'
import { sizeOf, type Tensor } from '../../preload/tensor'
import { GAP, type Layout } from './layout'

/** A batch of columns together with where each row's prompt ends. */
export interface Frame {
  readonly layout: Layout
  readonly promptLengths: readonly number[]
}

export interface Selection {
  /** Axes of the hook point with their sizes; null where the run decides. */
  readonly dims: readonly string[]
  readonly sizes: readonly (number | null)[]
  readonly rows: 'all' | readonly number[]
  readonly positions: PositionSet
  readonly heads: readonly number[] | null
  readonly units: readonly number[] | null
}

export interface Spread {
  /** 1 where selected, 0 elsewhere. */
  readonly mask: Tensor
  /** The value at its places, 0 elsewhere. */
  readonly value: Tensor
}

/** Not selected, or (for padding columns, which nothing reads) either. */
const OUT = -1
const ANY = -2

/** For each row and column of one axis: the index within the selection, `OUT` or `ANY`. */
interface AxisSelection {
  readonly length: number
  readonly count: (row: number) => number
  readonly index: readonly Int32Array[]
}

/**
 * Lays `value` (null for none) out over the selected part.
 * @returns null where nothing in this batch of columns is selected
 * @throws PatchbayError `input.invalid` where the value does not broadcast to the selected part
 */
export function spread(selection: Selection, frame: Frame, value: Tensor | null): Spread | null {
  const { batch } = frame.layout
  const chosen = Array.from(
    { length: batch },
    (_, row) => selection.rows === 'all' || selection.rows.includes(row),
  )
  const axes = selection.dims.slice(1).map((dim, i) => axisSelection(dim, i + 1, selection, frame))
  const rows = Array.from({ length: batch }, (_, row) => row).filter((row) => chosen[row])
  const touched = rows.some((row) => axes.every((axis) => axis.index[row].some((index) => index >= 0)))
  if (!touched) return null

  const aligned = value === null ? null : alignedShape(value, axes, rows)
  const restricts = axes.map((axis) => rows.some((row) => axis.index[row].includes(OUT)))
  const varies = axes.map((_, i) => restricts[i] || (aligned !== null && aligned[i] > 1))
  const perRow = (expanded: readonly boolean[]): boolean =>
    rows.length < batch ||
    axes.some((axis, i) => expanded[i] && axis.index.some((row) => !sameIndex(row, axis.index[0])))
  return {
    mask: fill(frame, chosen, axes, restricts, perRow(restricts), () => 1),
    value: fill(frame, chosen, axes, varies, perRow(varies), valueAt(value, aligned)),
  }
}

/** The value's shape with leading ones, one entry for each axis but the batch. */
function alignedShape(value: Tensor, axes: readonly AxisSelection[], rows: readonly number[]): number[] {
  const shape = [...Array<number>(Math.max(0, axes.length - value.shape.length)).fill(1), ...value.shape]
  for (const row of rows) {
    const counts = axes.map((axis) => axis.count(row))
    if (shape.length > axes.length || shape.some((dim, i) => dim !== 1 && dim !== counts[i]))
      throw new PatchbayError(
        'input.invalid',
        `A value of shape [${value.shape.join(', ')}] does not fit the selected part [${counts.join(', ')}] of row ${row}.`,
        {
          next: 'Give one number, a vector for the last axis, or a tensor of exactly the selected shape.',
          field: 'value',
        },
      )
  }
  return shape
}

function valueAt(
  value: Tensor | null,
  shape: readonly number[] | null,
): (indices: readonly number[]) => number {
  if (value === null || shape === null) return () => 0
  const strides = shape.map((dim, i) => (dim === 1 ? 0 : sizeOf(shape.slice(i + 1))))
  return (indices) => value.data[indices.reduce((at, index, i) => at + Math.max(0, index) * strides[i], 0)]
}

const sameIndex = (a: Int32Array, b: Int32Array): boolean => a.every((x, i) => x === b[i])

/** A tensor over the expanded axes: `at` of the selection's indices where selected, 0 elsewhere. */
function fill(
  { layout }: Frame,
  chosen: readonly boolean[],
  axes: readonly AxisSelection[],
  expanded: readonly boolean[],
  perRow: boolean,
  at: (indices: readonly number[]) => number,
): Tensor {
  const shape = [perRow ? layout.batch : 1, ...axes.map((axis, i) => (expanded[i] ? axis.length : 1))]
  const data = new Float32Array(sizeOf(shape))
  const first = Math.max(0, chosen.indexOf(true))
  const inner = data.length / shape[0]
  const indices = new Array<number>(axes.length).fill(0)
  for (let row = 0; row < shape[0]; row++) {
    if (perRow && !chosen[row]) continue
    for (let i = 0; i < inner; i++) {
      let rest = i
      let selected = true
      for (let axis = axes.length - 1; axis >= 0; axis--) {
        const place = rest % shape[axis + 1]
        rest = Math.floor(rest / shape[axis + 1])
        indices[axis] = expanded[axis] ? axes[axis].index[perRow ? row : first][place] : 0
        if (indices[axis] === OUT) selected = false
      }
      if (selected) data[row * inner + i] = at(indices)
    }
  }
  return { shape, data }
}

function axisSelection(dim: string, axis: number, selection: Selection, frame: Frame): AxisSelection {
  const { layout } = frame
  const { batch, queries, past } = layout
  if (dim === 'pos' || dim === 'q_pos') return positionSelection(selection.positions, frame)
  const wanted =
    dim === 'head' || dim === 'kv_head'
      ? selection.heads
      : axis === selection.dims.length - 1
        ? selection.units
        : null
  const place = wanted === null ? null : new Map(wanted.map((entry, i) => [entry, i]))
  const find = (entry: number): number => (place === null ? entry : (place.get(entry) ?? OUT))
  if (dim === 'k_pos') {
    const length = past + queries
    const index = Array.from({ length: batch }, (_, row) =>
      Int32Array.from({ length }, (_, column) => {
        const position = layout.keyPositions[row * length + column]
        // Keys that a row does not have: a query that is real would read what is put there.
        return position === GAP || position >= layout.lengths[row] ? OUT : find(position)
      }),
    )
    return { length, count: (row) => wanted?.length ?? layout.lengths[row], index }
  }
  const length = selection.sizes[axis] ?? 1
  const index = Int32Array.from({ length }, (_, i) => find(i))
  return { length, count: () => wanted?.length ?? length, index: Array.from({ length: batch }, () => index) }
}

function positionSelection(positions: PositionSet, { layout, promptLengths }: Frame): AxisSelection {
  const { batch, queries, queryPositions, lengths } = layout
  const place = Array.isArray(positions) ? new Map(positions.map((position, i) => [position, i])) : null
  const find = (position: number, prompt: number): number => {
    if (place !== null) return place.get(position) ?? OUT
    switch (positions) {
      case 'prompt':
        return position < prompt ? position : OUT
      case 'generated':
        return position >= prompt ? position - prompt : OUT
      case 'last':
        return position === prompt - 1 ? 0 : OUT
      default:
        return position
    }
  }
  const index = Array.from({ length: batch }, (_, row) =>
    Int32Array.from({ length: queries }, (_, column) => {
      const position = queryPositions[row * queries + column]
      return position === GAP || position >= lengths[row] ? ANY : find(position, promptLengths[row])
    }),
  )
  const count = (row: number): number => {
    if (place !== null) return place.size
    if (positions === 'last') return 1
    if (positions === 'prompt') return promptLengths[row]
    return positions === 'generated' ? 1 : lengths[row]
  }
  return { length: queries, count, index }
}
