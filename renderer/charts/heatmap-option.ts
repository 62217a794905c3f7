/**
 * A heatmap as ECharts options: cells as shapes (with text where it fits) where they can be told apart and are not too
 * many, else as one painted image under the same axes; the legend always. What is selected is outlined above the chart,
 * not in it (HeatmapMarks).
 *
 * Not as a series of type `heatmap`: ECharts 6.1 always paints that in slices of 15 ms, so that an exported picture may
 * lack its end, and a chart that is taken away meanwhile throws.
 */
import { scaledCellImage } from './cell-image'
import { legendGraphic } from './colour-legend'
import { colourMapFor, fractionIn, type Domain } from './domains'
import type { ChartOption, CustomSeriesOption, Size } from './echarts'
import { heatmapLayout, type HeatmapLabels, type HeatmapLayout } from './heatmap-layout'
import { base, categoryAxis, fitText } from './parts'
import { colourAt, inkOn, type ColourMapName } from './scales'
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

/** More cells than this, or smaller ones in px, are painted as one image. */
export const mostShapes = 20_000
const leastShape = 2

export function heatmapOption(spec: HeatmapSpec, size: Size, theme: ChartTheme): ChartOption {
  const map = colourMapFor(spec.domain, spec.sequential, theme.diverging)
  const layout = heatmapLayout(spec, size, theme)
  const asShapes =
    spec.rows.length * spec.columns.length <= mostShapes &&
    Math.min(layout.cellWidth, layout.cellHeight) >= leastShape
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
    graphic: legendGraphic(spec.title, spec.domain, map, size, layout.right, theme),
    series: asShapes ? shapes(spec, map, layout, theme) : painted(spec, map, layout),
  }
}

/** The cells as the children of one item: nothing is to be told apart in them by the mouse, which is asked for its place. */
function shapes(
  spec: HeatmapSpec,
  map: ColourMapName,
  layout: HeatmapLayout,
  theme: ChartTheme,
): CustomSeriesOption {
  const { cellWidth: width, cellHeight: height } = layout
  const columns = spec.columns.length
  const withText = spec.cellText !== null && width >= 26 && height >= theme.small + 3
  const outlined = Math.min(width, height) >= 8
  // Without an outline cells overlap by a little, so that no seams show between them.
  const overlap = outlined ? 0 : 0.5
  const cell = (i: number) => {
    const fraction = fractionIn(spec.domain, spec.values[i])
    if (Number.isNaN(fraction)) return []
    const row = Math.floor(i / columns)
    const place = {
      x: layout.left + (i % columns) * width,
      y: layout.top + (spec.origin === 'top' ? row : spec.rows.length - 1 - row) * height,
    }
    const fill = colourAt(map, fraction)
    const text = withText ? fitText(spec.cellText?.[i] ?? '', theme.small, width - 4) : ''
    const outline = outlined ? { stroke: theme.surface, lineWidth: 1 } : {}
    return [
      {
        type: 'rect' as const,
        shape: { ...place, width: width + overlap, height: height + overlap },
        style: { fill, ...outline },
      },
      ...(text === ''
        ? []
        : [
            {
              type: 'text' as const,
              x: place.x + width / 2,
              y: place.y + height / 2,
              style: {
                text,
                fill: inkOn(fill),
                font: `${theme.small}px ${theme.mono}`,
                align: 'center' as const,
                verticalAlign: 'middle' as const,
              },
            },
          ]),
    ]
  }
  return {
    ...oneItem,
    renderItem: () => ({
      type: 'group',
      // Drawn anew, never into what was there: a rectangle must not inherit the place of a text.
      $mergeChildren: false,
      children: Array.from({ length: spec.rows.length * columns }, (_, i) => i).flatMap(cell),
    }),
  }
}

/** A series that is one thing for ECharts. Clicks and hovering are taken from the place, also on cells without a value. */
const oneItem = { type: 'custom' as const, silent: true, data: [[0, 0]] }

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
    ...oneItem,
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
