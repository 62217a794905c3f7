/** One hook point's activation for one prompt, reduced to what a screen can show: heatmap, norms, histogram, statistics. */
import { hookDims, hookName } from '../../preload/hooks'
import { sizeOf } from '../../preload/tensor'
import type { ActivationView } from '../../preload/views'
import { capture, hookOf } from './captures'
import { describe, rowNorms } from './statistics'
import type { AnalysisModel, RunOptions } from './subject'

/**
 * The activation at `hook` as a table. Rows are positions and columns the other axes, flattened; attention scores and
 * patterns [head, q_pos, k_pos] have a row for each head and query. Masked scores are −∞: they are counted as not finite
 * and left out of statistics and histogram, and a row's norm leaves them out too.
 * @throws PatchbayError `hook.unknown`, `hook.unavailable`
 */
export async function activationView(
  model: AnalysisModel,
  tokens: readonly number[],
  where: { hook: string; maxColumns: number },
  options: RunOptions = {},
): Promise<ActivationView> {
  const point = hookOf(model, where.hook)
  const hook = hookName(point)
  const { evidence, activations } = await capture(model, tokens, [hook], options)
  const { shape, data } = activations[0]
  const dims = hookDims(point).slice(1)
  const rowAxes = dims[0] === 'pos' ? 1 : dims.length - 1
  const rows = sizeOf(shape.slice(0, rowAxes))
  const columns = sizeOf(shape.slice(rowAxes))
  const columnsPerCell = Math.max(1, Math.ceil(columns / where.maxColumns))
  const cells = Math.ceil(columns / columnsPerCell)
  const { summary, histogram } = describe(data)
  return {
    evidence,
    hook,
    dims,
    shape: [...shape],
    rows,
    columns,
    heatmap: { shape: [rows, cells], data: groupExtremes(data, rows, columns, columnsPerCell) },
    columnsPerCell,
    norms: rowNorms(finiteOnly(data, summary.notFinite), columns),
    histogram,
    statistics: {
      mean: summary.mean,
      standardDeviation: summary.standardDeviation,
      minimum: summary.minimum,
      maximum: summary.maximum,
      notFinite: summary.notFinite,
    },
  }
}

/**
 * [rows, columns] → [rows, cells]: of each group of columns the entry of largest magnitude, with its sign. An entry that
 * is not finite is shown only where its whole group is not.
 */
export function groupExtremes(
  data: Float32Array,
  rows: number,
  columns: number,
  perCell: number,
): Float32Array {
  if (perCell === 1) return data
  const cells = Math.ceil(columns / perCell)
  const shown = new Float32Array(rows * cells)
  for (let row = 0; row < rows; row++)
    for (let cell = 0; cell < cells; cell++) {
      const start = row * columns + cell * perCell
      const end = row * columns + Math.min(columns, (cell + 1) * perCell)
      let extreme = data[start]
      for (let i = start + 1; i < end; i++)
        if (Number.isFinite(data[i]) && (!Number.isFinite(extreme) || Math.abs(data[i]) > Math.abs(extreme)))
          extreme = data[i]
      shown[row * cells + cell] = extreme
    }
  return shown
}

const finiteOnly = (data: Float32Array, notFinite: number): Float32Array =>
  notFinite === 0 ? data : data.map((x) => (Number.isFinite(x) ? x : 0))
