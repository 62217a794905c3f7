/** Pieces that several charts' options share: text styles, axes, tooltips, measured label widths. */
import type { ChartOption } from './echarts'
import type { ChartTheme } from './theme'

/**
 * Width of text in px, estimated from its letters: charts are also drawn where there is no canvas to measure on
 * (SVG export), and both must come out alike. Wide East Asian letters and emoji count double.
 */
export function textWidth(text: string, fontSize: number): number {
  let units = 0
  for (const letter of text) {
    const code = letter.codePointAt(0) ?? 0
    units += code >= 0x1100 && !(code >= 0x2000 && code < 0x2e80) ? 1.05 : 0.61
  }
  return units * fontSize
}

/** Widest of the labels in px, at most `limit`. */
export const widest = (labels: readonly string[], fontSize: number, limit: number): number =>
  Math.min(
    limit,
    labels.reduce((width, label) => Math.max(width, textWidth(label, fontSize)), 0),
  )

/** Cuts text to about `width` px, with an ellipsis. */
export function fitText(text: string, fontSize: number, width: number): string {
  if (textWidth(text, fontSize) <= width) return text
  const letters = Array.from(text)
  while (letters.length > 0 && textWidth(letters.join('') + '…', fontSize) > width) letters.pop()
  return letters.length === 0 ? '' : letters.join('') + '…'
}

/**
 * Rich-text tooltip (never HTML: labels come from prompts and model files). A formatter's text goes through ECharts' own
 * `{style|text}` markup, so braces are shown as full-width ones.
 */
export const tooltip = (theme: ChartTheme): NonNullable<ChartOption['tooltip']> => ({
  renderMode: 'richText',
  confine: true,
  backgroundColor: theme.surface,
  borderColor: theme.line,
  borderWidth: 1,
  padding: [6, 8],
  textStyle: { color: theme.text, fontSize: theme.normal, fontFamily: theme.mono },
  transitionDuration: 0,
})

/** Text that ECharts' rich-text markup can not take for markup. */
export const literal = (text: string): string =>
  text.replaceAll('{', '｛').replaceAll('}', '｝').replaceAll('|', '∣')

/** Chart-wide settings: no animation (motion only where it explains), no colours but ours. */
export const base = (theme: ChartTheme): ChartOption => ({
  animation: false,
  backgroundColor: 'transparent',
  color: [...theme.series],
  textStyle: { fontFamily: theme.sans, fontSize: theme.small, color: theme.text },
})

/** A numeric axis with a title and quiet split lines. */
export const valueAxis = (theme: ChartTheme, title: string) => ({
  type: 'value' as const,
  name: title,
  nameTextStyle: { color: theme.muted, fontSize: theme.small, fontFamily: theme.sans },
  axisLabel: { color: theme.muted, fontSize: theme.small, fontFamily: theme.sans, hideOverlap: true },
  axisLine: { show: false },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: theme.line, width: 1 } },
})

/** A category axis with the labels as they are. */
export const categoryAxis = (theme: ChartTheme, labels: readonly string[]) => ({
  type: 'category' as const,
  data: [...labels],
  axisLabel: { color: theme.text, fontSize: theme.small, fontFamily: theme.mono },
  axisLine: { lineStyle: { color: theme.line } },
  axisTick: { show: false },
  splitLine: { show: false },
})
