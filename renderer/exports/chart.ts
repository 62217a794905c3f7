/** The export menu of a chart: PNG, SVG and CSV of what it shows. */
import { csvFile, pngFile, svgFile } from '../charts/export'
import type { ChartSource } from '../charts/export'
import type { ExportAction } from '../stores/inspector'
import { saveExport, type Origin } from './provenance'

/** What every chart component exposes; see charts/export.ts. */
export interface ExportableChart {
  readonly source: ChartSource | null
}

/**
 * @param source asked for at the click; a chart that is not there (yet) exports nothing
 * @param name of the file, without extension
 * @param origin where the numbers come from, where that is not the open model
 */
export function chartExports(
  source: () => ChartSource | null | undefined,
  name: () => string,
  origin: () => Origin | null = () => null,
): ExportAction[] {
  const act = (make: (source: ChartSource, name: string) => Parameters<typeof saveExport>[0]) => async () => {
    const present = source()
    if (present) await saveExport(make(present, name()), origin())
  }
  return [
    { id: 'png', label: 'PNG picture', run: act(pngFile) },
    { id: 'svg', label: 'SVG drawing', run: act(svgFile) },
    { id: 'csv', label: 'CSV table', run: act((source, name) => csvFile(source.table(), name)) },
  ]
}
