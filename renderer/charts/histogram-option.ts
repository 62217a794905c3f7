/** A histogram as ECharts options: bars that touch, on a true value axis. */
import type { Histogram } from '../../preload/views'
import type { ChartOption, Size } from './echarts'
import { formatCount, formatNumber } from './numbers'
import { base, textWidth, tooltip, valueAxis } from './parts'
import type { ChartTheme } from './theme'

export interface HistogramSpec {
  /** edges [bins + 1], counts [bins] */
  histogram: Histogram
  /** Title of the value axis. */
  title: string
  /** Logarithmic counts, so that rare outliers show. */
  logarithmic: boolean
}

export function histogramOption(spec: HistogramSpec, size: Size, theme: ChartTheme): ChartOption {
  const { edges, counts } = spec.histogram
  const low = edges[0] ?? 0
  const high = edges[edges.length - 1] ?? 1
  const most = counts.reduce((a, b) => Math.max(a, b), 0)
  const left = Math.ceil(textWidth(formatCount(most), theme.small)) + 14
  const line = theme.small + 6
  return {
    ...base(theme),
    grid: { left, right: 12, top: line + 10, bottom: 2 * line + 4, outerBoundsMode: 'none' },
    tooltip: {
      ...tooltip(theme),
      trigger: 'item',
      formatter: (params: unknown) => {
        const at =
          typeof params === 'object' && params !== null && 'dataIndex' in params
            ? Number(params.dataIndex)
            : -1
        if (at < 0 || at >= counts.length) return ''
        return `${formatNumber(edges[at], 4)} … ${formatNumber(edges[at + 1], 4)}\n${formatCount(counts[at])} values`
      },
    },
    xAxis: {
      ...valueAxis(theme, spec.title),
      nameLocation: 'middle',
      nameGap: line + 4,
      min: low,
      max: high > low ? high : low + 1,
      splitLine: { show: false },
      splitNumber: Math.max(2, Math.round(size.width / 110)),
      axisLine: { show: true, lineStyle: { color: theme.line }, onZero: false },
      axisLabel: {
        ...valueAxis(theme, '').axisLabel,
        showMinLabel: true,
        showMaxLabel: true,
        formatter: (value: number) => formatNumber(value),
      },
    },
    yAxis: {
      ...valueAxis(theme, spec.logarithmic ? 'values (log)' : 'values'),
      nameTextStyle: { ...valueAxis(theme, '').nameTextStyle, align: 'left', padding: [0, 0, 0, 8 - left] },
      axisLine: { show: false, onZero: false },
      nameGap: 10,
      type: spec.logarithmic ? 'log' : 'value',
      // Half a value below one, so that bins with a single value still have a height.
      min: spec.logarithmic ? 0.5 : 0,
      axisLabel: {
        ...valueAxis(theme, '').axisLabel,
        formatter: (value: number) => (value < 1 ? '' : formatCount(value)),
      },
    },
    series: {
      type: 'custom',
      clip: true,
      encode: { x: [0, 1], y: 2 },
      data: Array.from(counts, (count, i) => [edges[i], edges[i + 1], count]),
      renderItem: (_params, api) => {
        const count = Number(api.value(2))
        if (count === 0) return null
        const [x0, y0] = api.coord([api.value(0), count])
        const [x1, y1] = api.coord([api.value(1), spec.logarithmic ? 0.5 : 0])
        const gap = x1 - x0 > 4 ? 0.5 : 0
        return {
          type: 'rect',
          shape: {
            x: x0 + gap,
            y: y0,
            width: Math.max(0.5, x1 - x0 - 2 * gap),
            height: Math.max(1, y1 - y0),
          },
          style: { fill: theme.series[0] },
        }
      },
    },
  }
}
