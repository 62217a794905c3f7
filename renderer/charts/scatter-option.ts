/** Named points in the plane as ECharts options, with the diagonal where both axes mean the same. */
import type { ChartOption, Size } from './echarts'
import { formatNumber } from './numbers'
import { base, literal, textWidth, tooltip, valueAxis } from './parts'
import type { ChartTheme } from './theme'

export interface ScatterPoint {
  name: string
  x: number
  y: number
}

export interface ScatterSpec {
  points: readonly ScatterPoint[]
  xTitle: string
  yTitle: string
  /** Draws y = x. */
  diagonal: boolean
}

export function scatterOption(spec: ScatterSpec, _size: Size, theme: ChartTheme): ChartOption {
  const line = theme.small + 6
  const left = Math.ceil(textWidth('−0.0000', theme.small)) + 14
  const finite = spec.points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))
  const ends = finite.flatMap(({ x, y }) => [x, y])
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)]
  const axis = (title: string) => ({
    ...valueAxis(theme, title),
    // Both axes alike, so that the diagonal is one.
    ...(spec.diagonal ? { min: low, max: high } : { scale: true }),
    axisLabel: { ...valueAxis(theme, '').axisLabel, formatter: (value: number) => formatNumber(value) },
  })
  return {
    ...base(theme),
    grid: { left, right: 20, top: line + 8, bottom: 2 * line + 6, outerBoundsMode: 'none' },
    tooltip: {
      ...tooltip(theme),
      trigger: 'item',
      formatter: (params: unknown) => pointText(spec, finite, params),
    },
    xAxis: { ...axis(spec.xTitle), nameLocation: 'middle', nameGap: line + 4 },
    yAxis: {
      ...axis(spec.yTitle),
      nameTextStyle: { ...valueAxis(theme, '').nameTextStyle, align: 'left', padding: [0, 0, 0, 8 - left] },
    },
    series: [
      {
        type: 'scatter',
        symbolSize: finite.length > 500 ? 4 : 8,
        itemStyle: { color: theme.accent, opacity: 0.7 },
        emphasis: { disabled: true },
        data: finite.map(({ x, y }) => [x, y]),
        ...(spec.diagonal && high > low
          ? {
              markLine: {
                silent: true,
                symbol: 'none',
                animation: false,
                label: { show: false },
                lineStyle: { color: theme.muted, type: 'dashed' as const, width: 1 },
                data: [[{ coord: [low, low] }, { coord: [high, high] }]],
              },
            }
          : {}),
      },
    ],
  }
}

function pointText(spec: ScatterSpec, points: readonly ScatterPoint[], params: unknown): string {
  if (typeof params !== 'object' || params === null || !('dataIndex' in params)) return ''
  const point = points.at(Number(params.dataIndex))
  return point === undefined
    ? ''
    : [
        literal(point.name),
        `${spec.xTitle}  ${formatNumber(point.x, 4)}`,
        `${spec.yTitle}  ${formatNumber(point.y, 4)}`,
      ].join('\n')
}
