/**
 * A heatmap as ECharts options: cells as shapes (with text where it fits) up to 50,000 of them, above that one painted
 * image under the same axes; the legend always. What is selected is outlined above the chart, not in it (HeatmapMarks).
 */
import { scaledCellImage } from './cell-image'
import { legendGraphic } from './colour-legend'
import { colourMapFor, fractionIn, type Domain } from './domains'
import type { ChartOption, CustomSeriesOption, HeatmapSeriesOption, Size } from './echarts'
import { heatmapLayout, type HeatmapLabels, type HeatmapLayout } from './heatmap-layout'
import { base, categoryAxis, fitText } from './parts'
import { colourAt, colourStops, inkOn, type ColourMapName } from './scales'
import type { ChartTheme } from './theme'

export interface HeatmapSpec extends HeatmapLabels {
  /** [rows, columns], row-major. NaN: no value there. */
  values: ArrayLike<number>
  domain: Domain
  /** Title of the legend: the quantity and its unit. */
  title: string
  sequential: 'viridis' | 'cividis'
  /** Where row 0 lies. */
  origin: 'top' | 'bottom'
  /** Text in the cells, [rows, columns]; shown where cells are large enough. */
  cellText: readonly string[] | null
}

/** More cells than this are painted as one image. */
export const mostShapes = 50_000

export function heatmapOption(spec: HeatmapSpec, size: Size, theme: ChartTheme): ChartOption {
  const map = colourMapFor(spec.domain, spec.sequential, theme.diverging)
  const layout = heatmapLayout(spec, size, theme)
  const count = spec.rows.length * spec.columns.length
  return {
    ...base(theme),
    grid: {
      left: layout.left,
      right: layout.right,
      top: layout.top,
      bottom: layout.bottom,
      outerBoundsMode: 'none',
      show: true,
      borderWidth: 0,
      backgroundColor: blankPattern(theme),
    },
    xAxis: {
      ...categoryAxis(theme, spec.columns),
      name: spec.columnTitle,
      nameLocation: 'middle',
      nameGap: layout.bottom - 16,
      nameTextStyle: { color: theme.muted, fontFamily: theme.sans, fontSize: theme.small },
      axisLine: { show: false },
      axisLabel: {
        ...categoryAxis(theme, []).axisLabel,
        rotate: layout.rotate,
        interval: (index: number) => index % layout.columnStep === 0,
        formatter: (label: string) => fitText(label, theme.small, layout.columnLabel),
      },
    },
    yAxis: {
      ...categoryAxis(theme, spec.rows),
      inverse: spec.origin === 'top',
      name: spec.rowTitle,
      nameLocation: 'middle',
      nameGap: layout.rowLabel + 12,
      nameTextStyle: { color: theme.muted, fontFamily: theme.sans, fontSize: theme.small },
      axisLine: { show: false },
      axisLabel: {
        ...categoryAxis(theme, []).axisLabel,
        interval: (index: number) => index % layout.rowStep === 0,
        formatter: (label: string) => fitText(label, theme.small, layout.rowLabel),
      },
    },
    // Only maps values to colours; the legend is drawn by us, with ticks and a title.
    visualMap: {
      show: false,
      type: 'continuous',
      min: 0,
      max: 1,
      seriesIndex: 0,
      inRange: { color: colourStops(map) },
    },
    graphic: legendGraphic(spec.title, spec.domain, map, size, layout.right, theme),
    series: count <= mostShapes ? shapes(spec, map, layout, theme) : painted(spec, map, layout),
  }
}

function shapes(
  spec: HeatmapSpec,
  map: ColourMapName,
  layout: HeatmapLayout,
  theme: ChartTheme,
): HeatmapSeriesOption {
  const columns = spec.columns.length
  const withText = spec.cellText !== null && layout.cellWidth >= 26 && layout.cellHeight >= theme.small + 3
  const data: NonNullable<HeatmapSeriesOption['data']> = []
  for (let i = 0; i < spec.rows.length * columns; i++) {
    const fraction = fractionIn(spec.domain, spec.values[i])
    const value = [i % columns, Math.floor(i / columns), Number.isNaN(fraction) ? '-' : fraction]
    data.push(
      withText && !Number.isNaN(fraction)
        ? { value, label: { color: inkOn(colourAt(map, fraction)) } }
        : value,
    )
  }
  const gap = Math.min(layout.cellWidth, layout.cellHeight) >= 8 ? 1 : 0
  return {
    type: 'heatmap',
    data,
    progressive: 0,
    // Clicks and hovering are taken from the place, so that they also work on cells without a value.
    silent: true,
    itemStyle: { borderWidth: gap, borderColor: theme.surface },
    emphasis: { disabled: true },
    label: {
      show: withText,
      fontFamily: theme.mono,
      fontSize: theme.small,
      formatter: ({ dataIndex }) =>
        fitText(spec.cellText?.[dataIndex] ?? '', theme.small, layout.cellWidth - 4),
    },
  }
}

function painted(spec: HeatmapSpec, map: ColourMapName, layout: HeatmapLayout): CustomSeriesOption {
  const rows = spec.rows.length
  const columns = spec.columns.length
  const density = Math.max(2, globalThis.devicePixelRatio || 1)
  const image = scaledCellImage(
    { values: spec.origin === 'top' ? spec.values : rowsReversed(spec.values, rows, columns), rows, columns },
    spec.domain,
    map,
    layout.cellWidth * columns * density,
    layout.cellHeight * rows * density,
  )
  return {
    type: 'custom',
    silent: true,
    data: [[0, 0]],
    renderItem: () =>
      image === null
        ? null
        : {
            type: 'image',
            style: {
              image,
              x: layout.left,
              y: layout.top,
              width: layout.cellWidth * columns,
              height: layout.cellHeight * rows,
            },
          },
  }
}

function rowsReversed(values: ArrayLike<number>, rows: number, columns: number): Float32Array {
  const out = new Float32Array(rows * columns)
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[(rows - 1 - r) * columns + c] = values[r * columns + c]
  return out
}

interface BlankPattern {
  image: HTMLCanvasElement
  /** Where they are left out, ECharts writes an SVG that is not well-formed. */
  imageWidth: number
  imageHeight: number
  repeat: 'repeat'
}

let pattern: { key: string; image: HTMLCanvasElement } | null = null

/** Background of cells without a value: thin diagonal stripes, or plain where there is no canvas. */
function blankPattern(theme: ChartTheme): BlankPattern | string {
  const key = `${theme.blank} ${theme.stripe}`
  if (pattern?.key !== key) {
    const image = document.createElement('canvas')
    image.width = image.height = 6
    const context = image.getContext('2d')
    if (context === null) return theme.blank
    context.fillStyle = theme.blank
    context.fillRect(0, 0, 6, 6)
    context.strokeStyle = theme.stripe
    context.globalAlpha = 0.45
    context.lineWidth = 1
    for (const shift of [-6, 0, 6]) {
      context.moveTo(shift - 1, 7)
      context.lineTo(shift + 7, -1)
    }
    context.stroke()
    pattern = { key, image }
  }
  return { image: pattern.image, imageWidth: 6, imageHeight: 6, repeat: 'repeat' }
}
