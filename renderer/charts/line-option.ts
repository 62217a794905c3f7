/** Lines over categories (layers, positions) as ECharts options. */
import type { ChartOption, LineSeriesOption, Size } from './echarts'
import { formatNumber } from './numbers'
import { base, categoryAxis, fitText, literal, textWidth, tooltip, valueAxis, widest } from './parts'
import type { ChartTheme } from './theme'

export interface Line {
  name: string
  /** One per x; NaN leaves a gap. */
  values: ArrayLike<number>
  /** A colour of the theme by its role, or the series' own. */
  colour?: 'left' | 'right' | 'accent' | 'pin' | 'muted'
  dashed?: boolean
}

export interface LineSpec {
  x: readonly string[]
  lines: readonly Line[]
  xTitle: string
  yTitle: string
  /** `rank`: logarithmic in rank + 1 with the best rank on top. */
  scale: 'linear' | 'log' | 'rank'
  /** Range of y, where the quantity has a fixed one. */
  range: readonly [number, number] | null
  /** Index on x that is marked. */
  selected: number | null
  pinned: number | null
}

/** A tick of a rank axis, as it is counted by people: the top token has rank 1. */
const rankLabel = (value: number): string => formatNumber(value, 3)

export function lineOption(spec: LineSpec, size: Size, theme: ChartTheme): ChartOption {
  const log = spec.scale !== 'linear'
  const shift = spec.scale === 'rank' ? 1 : 0
  const left = Math.ceil(textWidth('0.0000', theme.small)) + 14
  const legendRows =
    spec.lines.length > 1 ? Math.ceil(legendWidth(spec, theme) / Math.max(1, size.width - left)) : 0
  const top = legendRows * Math.ceil(theme.small * 1.7) + theme.small + 16
  const turn = widest(spec.x, theme.small, 80) + 6 > (size.width - left) / Math.max(1, spec.x.length)
  const turned = turn && !spec.x.every((label) => /^\d+$/.test(label))
  const bottom =
    (turned ? widest(spec.x, theme.small, 80) + 6 : theme.small + 8) +
    (spec.xTitle === '' ? 0 : theme.small + 8)
  return {
    ...base(theme),
    grid: { left, right: 12, top, bottom, outerBoundsMode: 'none' },
    legend: {
      show: legendRows > 0,
      top: 0,
      left: left - 4,
      itemWidth: 18,
      itemHeight: 8,
      selectedMode: false,
      textStyle: { color: theme.text, fontSize: theme.small, fontFamily: theme.mono },
      formatter: (name: string) => fitText(name, theme.small, 140),
    },
    tooltip: {
      ...tooltip(theme),
      trigger: 'axis',
      axisPointer: { type: 'line', lineStyle: { color: theme.muted, width: 1 } },
      formatter: (params: unknown) => tooltipText(spec, params),
    },
    xAxis: {
      ...categoryAxis(theme, spec.x),
      boundaryGap: spec.x.length === 1,
      name: spec.xTitle,
      nameLocation: 'middle',
      nameGap: bottom - theme.small - 2,
      nameTextStyle: { color: theme.muted, fontFamily: theme.sans, fontSize: theme.small },
      axisLabel: {
        ...categoryAxis(theme, []).axisLabel,
        rotate: turned ? 90 : 0,
        hideOverlap: true,
        formatter: (label: string) => fitText(label, theme.small, 80),
      },
    },
    yAxis: {
      ...valueAxis(theme, spec.yTitle),
      nameTextStyle: { ...valueAxis(theme, '').nameTextStyle, align: 'left', padding: [0, 0, 0, 8 - left] },
      ...(spec.scale === 'rank' ? { nameLocation: 'start' as const } : {}),
      nameGap: 10,
      type: log ? 'log' : 'value',
      inverse: spec.scale === 'rank',
      min: spec.range?.[0] ?? (spec.scale === 'rank' ? 1 : undefined),
      max: spec.range?.[1],
      axisLabel: {
        ...valueAxis(theme, '').axisLabel,
        formatter: (value: number) => (spec.scale === 'rank' ? rankLabel(value) : formatNumber(value)),
      },
    },
    series: spec.lines.map((line, i) => lineSeries(spec, line, i, shift, theme)),
  }
}

const legendWidth = (spec: LineSpec, theme: ChartTheme): number =>
  spec.lines.reduce((sum, line) => sum + Math.min(140, textWidth(line.name, theme.small)) + 36, 0)

function lineSeries(
  spec: LineSpec,
  line: Line,
  i: number,
  shift: number,
  theme: ChartTheme,
): LineSeriesOption {
  const color = line.colour === undefined ? theme.series[i % theme.series.length] : theme[line.colour]
  const marks = [
    { at: spec.selected, color: theme.accent },
    { at: spec.pinned, color: theme.pin },
  ].flatMap(({ at, color: stroke }) =>
    at === null ? [] : [{ xAxis: at, lineStyle: { color: stroke, width: 1.5, type: 'solid' as const } }],
  )
  return {
    type: 'line',
    name: line.name,
    data: Array.from(line.values, (value) => (Number.isFinite(value) ? value + shift : '-')),
    symbol: 'circle',
    symbolSize: spec.x.length > 60 ? 0 : 5,
    showSymbol: true,
    lineStyle: { width: 2, color, type: line.dashed ? [5, 3] : 'solid' },
    itemStyle: { color },
    emphasis: { disabled: true },
    ...(i === 0 && marks.length > 0
      ? { markLine: { silent: true, symbol: 'none', label: { show: false }, animation: false, data: marks } }
      : {}),
  }
}

function tooltipText(spec: LineSpec, params: unknown): string {
  const first: unknown = Array.isArray(params) ? params[0] : params
  if (typeof first !== 'object' || first === null || !('dataIndex' in first)) return ''
  const at = Number(first.dataIndex)
  const shift = spec.scale === 'rank' ? 1 : 0
  return [
    `${spec.xTitle} ${literal(spec.x[at] ?? '')}`.trim(),
    ...spec.lines.map((line) => `${literal(line.name)}  ${formatNumber(line.values[at] + shift, 4)}`),
  ].join('\n')
}
