/** Horizontal bars labelled with tokens (or anything else) as ECharts options; one or two values an item. */
import type { BarSeriesOption, ChartOption, Size } from './echarts'
import { formatNumber } from './numbers'
import { base, categoryAxis, fitText, literal, tooltip, valueAxis, widest } from './parts'
import type { ChartTheme } from './theme'

export interface BarSeries {
  name: string
  values: ArrayLike<number>
  colour?: 'left' | 'right' | 'accent' | 'pin' | 'muted'
}

export interface BarSpec {
  labels: readonly string[]
  series: readonly BarSeries[]
  /** Title of the value axis: the quantity and its unit. */
  title: string
  /** Range of the values, where the quantity has a fixed one. */
  range: readonly [number, number] | null
  format: (value: number) => string
  selected: number | null
}

export function barOption(spec: BarSpec, size: Size, theme: ChartTheme): ChartOption {
  const label = widest(spec.labels, theme.small, Math.min(180, size.width * 0.4))
  const several = spec.series.length > 1
  const line = Math.ceil(theme.small * 1.6)
  const values = spec.series.flatMap((series) => Array.from(series.values))
  const number = widest(
    values.map((value) => spec.format(value)),
    theme.small,
    90,
  )
  return {
    ...base(theme),
    grid: {
      left: Math.ceil(label) + 12,
      right: Math.ceil(number) + 12,
      top: several ? line + 4 : 4,
      bottom: 2 * line + 6,
      outerBoundsMode: 'none',
    },
    legend: {
      show: several,
      top: 0,
      left: 0,
      itemWidth: 12,
      itemHeight: 8,
      selectedMode: false,
      textStyle: { color: theme.text, fontSize: theme.small },
    },
    tooltip: {
      ...tooltip(theme),
      trigger: 'axis',
      axisPointer: { type: 'shadow', shadowStyle: { color: theme.line, opacity: 0.4 } },
      formatter: (params: unknown) => tooltipText(spec, params),
    },
    xAxis: {
      ...valueAxis(theme, spec.title),
      nameLocation: 'middle',
      nameGap: line + 6,
      min: spec.range?.[0],
      max: spec.range?.[1],
      // On a signed scale the ends and zero say enough.
      ...(spec.range !== null && spec.range[0] < 0 ? { interval: spec.range[1] } : {}),
      axisLabel: { ...valueAxis(theme, '').axisLabel, formatter: (value: number) => formatNumber(value) },
    },
    yAxis: {
      ...categoryAxis(theme, spec.labels),
      inverse: true,
      axisLabel: {
        ...categoryAxis(theme, []).axisLabel,
        interval: spec.labels.length * line > size.height ? ('auto' as const) : 0,
        formatter: (text: string) => fitText(text, theme.small, label),
      },
    },
    series: spec.series.map((series, i) => barSeries(spec, series, i, theme)),
  }
}

function barSeries(spec: BarSpec, series: BarSeries, i: number, theme: ChartTheme): BarSeriesOption {
  const color = series.colour === undefined ? theme.series[i % theme.series.length] : theme[series.colour]
  return {
    type: 'bar',
    name: series.name,
    itemStyle: { color },
    barMaxWidth: 18,
    barCategoryGap: '28%',
    barGap: '8%',
    data: Array.from(series.values, (value, at) => ({
      value: Number.isFinite(value) ? value : '-',
      itemStyle: { color: at === spec.selected ? theme.accent : color, borderRadius: 1 },
    })),
    label: {
      show: spec.labels.length <= 60,
      position: 'right',
      color: theme.muted,
      fontFamily: theme.mono,
      fontSize: theme.small,
      formatter: ({ dataIndex }) => spec.format(series.values[dataIndex]),
    },
    emphasis: { disabled: true },
  }
}

function tooltipText(spec: BarSpec, params: unknown): string {
  const first: unknown = Array.isArray(params) ? params[0] : params
  if (typeof first !== 'object' || first === null || !('dataIndex' in first)) return ''
  const at = Number(first.dataIndex)
  return [
    literal(spec.labels[at] ?? ''),
    ...spec.series.map((series) => `${literal(series.name)}  ${spec.format(series.values[at])}`),
  ].join('\n')
}
