/** A finished sweep as files: its table, its arrays in the shape of the plan, everything as JSON. */
import { parquetWriteBuffer } from 'hyparquet-writer'
import { encodeNpy } from '../../../preload/npy'
import { csvFile, exportFile, type FileKind } from '../../charts/export'
import { saveExport } from '../../exports/provenance'
import type { SavedFile } from '../../exports/save'
import type { ExportAction } from '../../stores/inspector'
import { sitesTable, type FinishedSweep } from './finished'

/** float32 in the plan's shape. @param values of one metric, row-major */
export const sweepNpy = ({ result }: FinishedSweep, values: Float32Array): Uint8Array =>
  encodeNpy({ type: 'float32', shape: result.plan.shape, data: values })

/** The metric at each site; a sweep of this view has one. */
const metricOf = ({ result: { raw } }: FinishedSweep): Float32Array =>
  raw.data.subarray(0, raw.data.length / raw.shape[0])

/** Values row-major in the plan's shape, null where there is none; what was computed, on what. */
export function sweepJson(sweep: FinishedSweep): string {
  const { result, rows, columns, scale } = sweep
  const { evidence, direction, plan, notes } = result
  return JSON.stringify(
    {
      evidence,
      direction,
      plan,
      scale,
      rows,
      columns,
      values: Array.from(sweep.values),
      raw: Array.from(metricOf(sweep)),
      notes,
    },
    null,
    2,
  )
}

/** The table of places; what it was computed on is the file's metadata `patchbay`. */
export function sweepParquet(sweep: FinishedSweep): Uint8Array {
  const { header, rows: lines } = sitesTable(sweep)
  const rows = [...lines]
  const columnData = header.map((name, column) => {
    const data = rows.map((row) => row[column])
    return {
      name,
      data,
      type: data.every((cell) => typeof cell === 'number') ? ('DOUBLE' as const) : ('STRING' as const),
    }
  })
  const value = JSON.stringify(sweep.result.evidence)
  return new Uint8Array(parquetWriteBuffer({ columnData, kvMetadata: [{ key: 'patchbay', value }] }))
}

/** @param sweep asked for at the click */
export function sweepExports(sweep: () => FinishedSweep): ExportAction[] {
  const action = (id: string, label: string, make: (of: FinishedSweep) => SavedFile): ExportAction => ({
    id,
    label,
    run: () => saveExport(make(sweep()), sweep().result.evidence),
  })
  const file = (name: string, kind: FileKind, bytes: Uint8Array): SavedFile => exportFile(name, kind, bytes)
  return [
    action('csv', 'CSV table', (of) => csvFile(sitesTable(of), 'patching-sites')),
    action('parquet', 'Parquet table', (of) => file('patching-sites', 'parquet', sweepParquet(of))),
    action('json', 'JSON', (of) => file('patching-sweep', 'json', new TextEncoder().encode(sweepJson(of)))),
    action('npy', 'NumPy array of the metric (.npy)', (of) =>
      file('patching-metric', 'npy', sweepNpy(of, metricOf(of))),
    ),
    action('npy-shown', 'NumPy array of what is shown (.npy)', (of) =>
      file(`patching-${of.scale}`, 'npy', sweepNpy(of, of.values)),
    ),
  ]
}
