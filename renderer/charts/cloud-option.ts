/** Very many points in the plane as ECharts options, coloured by class or by number, some of them marked. */
import { legendGraphic } from './colour-legend'
import type { Domain } from './domains'
import { fractionIn } from './domains'
import type { ChartOption, Size } from './echarts'
import { formatNumber } from './numbers'
import { base, fitText, textWidth, valueAxis } from './parts'
import { colourAt } from './scales'
import type { ChartTheme } from './theme'

/** What the points are coloured by. `index` of a point without a class is −1, its `value` NaN. */
export type CloudColour =
  | { kind: 'none' }
  | { kind: 'class'; names: readonly string[]; index: ArrayLike<number> }
  | { kind: 'number'; title: string; values: ArrayLike<number>; domain: Domain }

export interface CloudSpec {
  /** [point] */
  x: ArrayLike<number>
  y: ArrayLike<number>
  colour: CloudColour
  xTitle: string
  yTitle: string
  /** Points that stand out: the others fade. */
  marked: ReadonlySet<number>
  selected: number | null
}

/** Shades that numbers are drawn in: a series of points each, so that 100,000 of them are drawn at once. */
const shades = 24
/** From this many points on they are drawn without being told apart. */
const many = 4000

interface Group {
  name: string
  colour: string
  points: number[]
}

/** Points by the colour they are drawn in. */
export function cloudGroups(spec: CloudSpec, theme: ChartTheme): Group[] {
  const { colour } = spec
  const count = spec.x.length
  const rest: Group = { name: 'no value', colour: theme.muted, points: [] }
  if (colour.kind === 'none') {
    const all = Array.from({ length: count }, (_, i) => i)
    return [{ name: 'rows', colour: theme.accent, points: all }]
  }
  const groups: Group[] =
    colour.kind === 'class'
      ? colour.names.map((name, i) => ({ name, colour: theme.series[i % theme.series.length], points: [] }))
      : Array.from({ length: shades }, (_, i) => ({
          name: '',
          colour: colourAt(
            colour.domain.kind === 'diverging' ? theme.diverging : 'viridis',
            i / (shades - 1),
          ),
          points: [],
        }))
  for (let i = 0; i < count; i++) {
    const at =
      colour.kind === 'class'
        ? colour.index[i]
        : Math.min(shades - 1, Math.floor(fractionIn(colour.domain, colour.values[i]) * shades))
    const group = at >= 0 ? groups.at(at) : undefined
    ;(group ?? rest).points.push(i)
  }
  return [...groups, rest].filter(({ points }) => points.length > 0)
}

export function cloudOption(spec: CloudSpec, size: Size, theme: ChartTheme): ChartOption {
  const line = theme.small + 6
  const left = Math.ceil(textWidth('−0.0000', theme.small)) + 14
  const groups = cloudGroups(spec, theme)
  const classes = spec.colour.kind === 'class' ? groups : []
  const wide = classes.reduce((sum, { name }) => sum + Math.min(160, textWidth(name, theme.small)) + 32, 0)
  const legendRows = classes.length === 0 ? 0 : Math.ceil(wide / Math.max(1, size.width - left))
  const top = (spec.colour.kind === 'number' ? 2 * line : legendRows * line * 1.15) + line + 6
  const small = spec.x.length > many ? 3 : spec.x.length > 600 ? 5 : 8
  const faded = spec.marked.size > 0
  const axis = (title: string) => ({
    ...valueAxis(theme, title),
    scale: true,
    axisLine: { show: false, onZero: false },
    axisLabel: { ...valueAxis(theme, '').axisLabel, formatter: (value: number) => formatNumber(value) },
  })
  const at = (i: number): [number, number] => [spec.x[i], spec.y[i]]
  const series = (points: readonly number[], color: string, opacity: number, symbolSize: number) => ({
    type: 'scatter' as const,
    silent: true,
    large: points.length > many,
    symbolSize,
    itemStyle: { color, opacity },
    data: points.map(at),
  })
  return {
    ...base(theme),
    grid: { left, right: 16, top, bottom: 2 * line + 6, outerBoundsMode: 'none' },
    legend: {
      show: classes.length > 0,
      top: 0,
      left: left - 4,
      itemWidth: 10,
      itemHeight: 10,
      selectedMode: false,
      // Also where the points themselves are faded.
      itemStyle: { opacity: 1 },
      textStyle: { color: theme.text, fontSize: theme.small, fontFamily: theme.sans },
      formatter: (name: string) => fitText(name, theme.small, 160),
      data: classes.map(({ name }) => name),
    },
    ...(spec.colour.kind === 'number'
      ? {
          graphic: legendGraphic(
            spec.colour.title,
            spec.colour.domain,
            spec.colour.domain.kind === 'diverging' ? theme.diverging : 'viridis',
            size,
            16,
            theme,
          ),
        }
      : {}),
    xAxis: { ...axis(spec.xTitle), nameLocation: 'middle', nameGap: line + 4 },
    yAxis: {
      ...axis(spec.yTitle),
      nameGap: 8,
      nameTextStyle: { ...valueAxis(theme, '').nameTextStyle, align: 'left', padding: [0, 0, 0, 8 - left] },
    },
    series: [
      ...groups.map(({ name, colour, points }) => ({
        ...series(points, colour, faded ? 0.18 : 0.75, small),
        name,
      })),
      ...(faded
        ? groups.map(({ colour, points }) =>
            series(
              points.filter((i) => spec.marked.has(i)),
              colour,
              0.95,
              small + 1,
            ),
          )
        : []),
      ...(spec.selected === null
        ? []
        : [
            {
              type: 'scatter' as const,
              silent: true,
              symbolSize: small + 8,
              itemStyle: { color: 'transparent', borderColor: theme.text, borderWidth: 2 },
              data: [at(spec.selected)],
            },
          ]),
    ],
  }
}
