/** Turns what a chart shows into files: a PNG at any scale, an SVG, or its numbers as CSV. */
import type { SavedFile } from '../exports/save'
import { csvText, type Table } from './csv'
import { init, type ChartOption, type Size } from './echarts'
import type { ChartTheme } from './theme'

/** What every chart component exposes as `source`. */
export interface ChartSource {
  option: (size: Size, theme: ChartTheme) => ChartOption
  size: () => Size
  theme: () => ChartTheme
  table: () => Table
}

/** A file for the shell to save. */
export type PictureFile = SavedFile

/** A name that is safe on every file system, without an extension: what is named after prompts must not become a path. */
export const safeName = (name: string): string =>
  name
    .normalize('NFKC')
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^[-.]+|[-.]+$/g, '')
    .slice(0, 100) || 'patchbay'

const kinds = {
  png: 'PNG picture',
  svg: 'SVG drawing',
  csv: 'CSV table',
  json: 'JSON',
  npy: 'NumPy array',
  parquet: 'Parquet table',
  safetensors: 'safetensors file',
} as const
export type FileKind = keyof typeof kinds

/** A file with a safe name and the extension of its kind. */
export const exportFile = (name: string, kind: FileKind, bytes: Uint8Array): PictureFile => ({
  suggestedName: `${safeName(name)}.${kind}`,
  bytes,
  filters: [{ name: kinds[kind], extensions: [kind] }],
})

/** The chart as SVG text, drawn anew at its present size on the theme's surface. */
export function svgText(source: ChartSource): string {
  const size = source.size()
  const chart = init(null, null, { renderer: 'svg', ssr: true, ...size })
  try {
    const theme = source.theme()
    chart.setOption({ ...source.option(size, theme), backgroundColor: theme.surface })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}

export const svgFile = (source: ChartSource, name: string): PictureFile =>
  exportFile(name, 'svg', new TextEncoder().encode(svgText(source)))

/** The chart as PNG with `scale` pixels per CSS pixel. */
export function pngFile(source: ChartSource, name: string, scale = 3): PictureFile {
  const size = source.size()
  const chart = init(document.createElement('div'), null, {
    renderer: 'canvas',
    devicePixelRatio: scale,
    ...size,
  })
  try {
    const theme = source.theme()
    chart.setOption(source.option(size, theme))
    const url = chart.getDataURL({ type: 'png', pixelRatio: scale, backgroundColor: theme.surface })
    const bytes = Uint8Array.from(atob(url.slice(url.indexOf(',') + 1)), (letter) => letter.charCodeAt(0))
    return exportFile(name, 'png', bytes)
  } finally {
    chart.dispose()
  }
}

/** A table as CSV, with a byte-order mark: without it Excel takes UTF-8 for the machine's old code page. */
export const csvFile = (table: Table, name: string): PictureFile =>
  exportFile(name, 'csv', new TextEncoder().encode('\ufeff' + csvText(table)))
