/** An activation as the grid that its heatmap draws: labels of rows and columns, scale, and what a cell stands for. */
import type { ActivationView } from '../../../preload/views'
import { quantities, type Domain, type Quantity } from '../../charts/domains'

export interface ActivationGrid {
  /** [rows, columns]; NaN where an attention score is masked (−∞) or a value is not finite. */
  values: Float32Array
  rows: string[]
  columns: string[]
  rowTitle: string
  columnTitle: string
  quantity: Quantity
  domain: Domain
  /** Token position and head (where there is one) of a cell, and its full index in the activation, without batch. */
  place: (row: number, column: number) => { position: number; head: number | null; index: number[] }
  /** Row and column of a position (and head), as far as they are in this grid. */
  rowOf: (position: number) => number | null
}

const isHead = (dim: string): boolean => dim === 'head' || dim === 'kv_head'

/** Axis of heads in `view.dims`; −1 where there is none. */
export const headAxis = (view: Pick<ActivationView, 'dims'>): number => view.dims.findIndex(isHead)

/** One head can be shown alone where columns are not grouped. */
export const canChooseHead = (view: ActivationView): boolean =>
  headAxis(view) >= 0 && (view.columnsPerCell === 1 || view.dims.at(-1) === 'k_pos')

export function quantityOf(hook: string): Quantity {
  if (hook.endsWith('hook_pattern')) return quantities.attention
  if (hook.endsWith('hook_scale')) return { ...quantities.norm, title: 'scale' }
  return quantities.activation
}

/**
 * @param tokens labels of the prompt's positions
 * @param head show this head only; null for all
 */
export function activationGrid(
  view: ActivationView,
  tokens: readonly string[],
  head: number | null,
): ActivationGrid {
  const positionLabel = (i: number) => `${i} ${tokens[i] ?? ''}`.trimEnd()
  const quantity = quantityOf(view.hook)
  const finite = view.heatmap.data.map((x) => (Number.isFinite(x) ? x : NaN))
  // The scale is the whole activation's, so that one head is comparable with the next.
  const domain = quantity.domain(finite)
  const cells = view.heatmap.shape[1]
  const base = { quantity, domain }
  const only = canChooseHead(view) ? head : null

  if (view.dims.at(-1) === 'k_pos') {
    const queries = view.shape[view.shape.length - 2]
    const first = only === null ? 0 : only * queries
    const count = only === null ? view.rows : queries
    const groupOf = (column: number) => column * view.columnsPerCell
    return {
      ...base,
      values: finite.slice(first * cells, (first + count) * cells),
      rows: Array.from({ length: count }, (_, r) => {
        const label = positionLabel(r % queries)
        return only === null ? `h${Math.floor(r / queries)} ${label}` : label
      }),
      columns: Array.from({ length: cells }, (_, c) => positionLabel(groupOf(c))),
      rowTitle: only === null ? 'head, query position' : 'query position',
      columnTitle: 'key position',
      place: (row, column) => {
        const at = first + row
        const [h, q] = [Math.floor(at / queries), at % queries]
        return { position: q, head: h, index: [h, q, groupOf(column)] }
      },
      rowOf: (position) => (only === null ? null : position),
    }
  }

  const inner = view.shape.slice(1)
  const perHead = headAxis(view) === 1 && inner.length === 2 ? inner[1] : null
  const first = only === null || perHead === null ? 0 : only * perHead
  const count = only === null || perHead === null ? cells : perHead
  const columnAt = (column: number) => (first + column) * view.columnsPerCell
  return {
    ...base,
    values: sliceColumns(finite, view.rows, cells, first, count),
    rows: Array.from({ length: view.rows }, (_, r) => positionLabel(r)),
    columns: Array.from({ length: count }, (_, c) => {
      const at = columnAt(c)
      return perHead === null || only !== null
        ? String(at - first)
        : `${Math.floor(at / perHead)}:${at % perHead}`
    }),
    rowTitle: 'position',
    columnTitle: columnTitle(view, only),
    place: (row, column) => {
      const at = columnAt(column)
      return perHead === null
        ? { position: row, head: null, index: [row, at] }
        : {
            position: row,
            head: Math.floor(at / perHead),
            index: [row, Math.floor(at / perHead), at % perHead],
          }
    },
    rowOf: (position) => (position < view.rows ? position : null),
  }
}

function columnTitle(view: ActivationView, head: number | null): string {
  const names: Record<string, string> = {
    d_model: 'dimension of the residual stream',
    d_mlp: 'neuron',
    d_head: 'dimension of the head',
    one: '',
  }
  const last = view.dims[view.dims.length - 1]
  const name = names[last] ?? last
  const title = headAxis(view) === 1 && head === null ? `head : ${name.replace(' of the head', '')}` : name
  return view.columnsPerCell === 1
    ? title
    : `${title} (${view.columnsPerCell} a cell, the largest of each shown)`
}

function sliceColumns(
  values: Float32Array,
  rows: number,
  columns: number,
  first: number,
  count: number,
): Float32Array {
  if (first === 0 && count === columns) return values
  const out = new Float32Array(rows * count)
  for (let r = 0; r < rows; r++)
    out.set(values.subarray(r * columns + first, r * columns + first + count), r * count)
  return out
}
