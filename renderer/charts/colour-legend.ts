/** The colour legend drawn into a chart (and so into its exports): title, gradient bar, numbers below it. */
import type { Domain } from './domains'
import type { ChartOption, Size } from './echarts'
import { formatNumber } from './numbers'
import { fitText, textWidth } from './parts'
import { colourStops, type ColourMapName } from './scales'
import type { ChartTheme } from './theme'

/** Numbers below a legend of `width` px: both ends, and the middle (0 on a signed scale) where there is room for it. */
export function legendTicks(domain: Domain, width: number, fontSize: number): { at: number; text: string }[] {
  const ticks = [0, 0.5, 1].map((at) => ({
    at,
    text: formatNumber(domain.min + at * (domain.max - domain.min)),
  }))
  const [low, middle, high] = ticks.map(({ text }) => textWidth(text, fontSize))
  return Math.max(low, high) + middle / 2 + 4 <= width / 2 ? ticks : [ticks[0], ticks[2]]
}

/** ECharts `graphic` elements of a legend at the top right of a chart. */
export function legendGraphic(
  title: string,
  domain: Domain,
  map: ColourMapName,
  size: Size,
  right: number,
  theme: ChartTheme,
): NonNullable<ChartOption['graphic']> {
  const width = Math.min(160, Math.max(80, size.width * 0.35))
  const left = size.width - right - width
  const label = fitText(title, theme.small, Math.max(0, left - 16))
  const font = `${theme.small}px ${theme.sans}`
  return [
    {
      type: 'text',
      silent: true,
      style: { text: label, x: left - 8, y: 4, align: 'right', font, fill: theme.muted },
    },
    {
      type: 'rect',
      silent: true,
      shape: { x: left, y: 4, width, height: 9 },
      style: {
        fill: {
          type: 'linear',
          x: 0,
          y: 0,
          x2: 1,
          y2: 0,
          colorStops: colourStops(map).map((color, i, all) => ({ offset: i / (all.length - 1), color })),
        },
        stroke: theme.line,
        lineWidth: 1,
      },
    },
    ...legendTicks(domain, width, theme.small).map(({ at, text }) => ({
      type: 'text' as const,
      silent: true,
      style: {
        text,
        x: left + at * width,
        y: 16,
        align: at === 0 ? ('left' as const) : at === 1 ? ('right' as const) : ('center' as const),
        font,
        fill: theme.muted,
      },
    })),
  ]
}
