/** A strip plot as ECharts options: every value of each group as a dot on one axis, with the groups' means. */
import type { ChartOption, Size } from './echarts'
import { formatNumber } from './numbers'
import { base, literal, tooltip, valueAxis, widest } from './parts'
import type { ChartTheme } from './theme'

export interface StripGroup {
  name: string
  values: readonly number[]
  colour: 'left' | 'right' | 'accent' | 'pin'
}

export interface StripSpec {
  groups: readonly StripGroup[]
  /** Title of the value axis. */
  title: string
}

/** Height of the i-th dot within its strip, −1 … 1: the golden ratio spreads any number of them evenly, and always alike. */
const spread = (i: number): number => 2 * ((0.5 + i * 0.618_033_988_75) % 1) - 1

export function stripOption(spec: StripSpec, size: Size, theme: ChartTheme): ChartOption {
  const names = spec.groups.map((group) => group.name)
  const line = theme.small + 6
  const left = Math.ceil(widest(names, theme.small, size.width * 0.3)) + 14
  return {
    ...base(theme),
    grid: { left, right: 16, top: 8, bottom: 2 * line + 6, outerBoundsMode: 'none' },
    tooltip: {
      ...tooltip(theme),
      trigger: 'item',
      formatter: (params: unknown) => dotText(spec, params),
    },
    xAxis: {
      ...valueAxis(theme, spec.title),
      nameLocation: 'middle',
      nameGap: line + 4,
      scale: true,
      axisLabel: { ...valueAxis(theme, '').axisLabel, formatter: (value: number) => formatNumber(value) },
    },
    yAxis: {
      type: 'value',
      min: -0.5,
      max: Math.max(0.5, spec.groups.length - 0.5),
      interval: 1,
      inverse: true,
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: { show: false },
    },
    graphic: spec.groups.map((group, i) => ({
      type: 'text',
      silent: true,
      style: {
        text: group.name,
        x: left - 8,
        y: 8 + ((i + 0.5) / spec.groups.length) * (size.height - 2 * line - 14),
        align: 'right',
        verticalAlign: 'middle',
        font: `${theme.small}px ${theme.sans}`,
        fill: theme.text,
      },
    })),
    series: spec.groups.map((group, i) => ({
      type: 'scatter' as const,
      name: group.name,
      symbolSize: group.values.length > 500 ? 3 : 7,
      itemStyle: { color: theme[group.colour], opacity: 0.65 },
      emphasis: { disabled: true },
      data: group.values.map((value, k) => [value, i + 0.32 * spread(k)]),
      markLine: {
        silent: true,
        symbol: 'none',
        animation: false,
        label: { show: false },
        data: meanLine(group, i, theme),
      },
    })),
  }
}

interface LineEnd {
  coord: number[]
  lineStyle: { color: string; width: number; type: 'solid' }
}

/** A short upright line through a group's strip at its mean. */
function meanLine(group: StripGroup, i: number, theme: ChartTheme): [LineEnd, LineEnd][] {
  if (group.values.length === 0) return []
  const mean = group.values.reduce((a, b) => a + b, 0) / group.values.length
  const end = (y: number): LineEnd => ({
    coord: [mean, y],
    lineStyle: { color: theme[group.colour], width: 2, type: 'solid' },
  })
  return [[end(i - 0.42), end(i + 0.42)]]
}

function dotText(spec: StripSpec, params: unknown): string {
  if (typeof params !== 'object' || params === null || !('seriesIndex' in params) || !('dataIndex' in params))
    return ''
  const group = spec.groups.at(Number(params.seriesIndex))
  const at = Number(params.dataIndex)
  return group === undefined ? '' : `${literal(group.name)} ${at + 1}\n${formatNumber(group.values[at], 4)}`
}
