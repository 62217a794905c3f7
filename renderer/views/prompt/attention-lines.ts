/**
 * Which token-to-token lines of one head are worth drawing: never more than the eye, and the document, can take; and how
 * they are drawn, on the screen and in a file.
 */
import { fitText } from '../../charts/parts'
import type { Drawing } from '../../exports/drawing'

export interface AttentionLine {
  query: number
  key: number
  weight: number
}

/** Weaker attention than this is not drawn. */
export const faintest = 0.02
/** At most so many lines; the strongest win. */
export const mostLines = 1200

export interface LineRange {
  /** First and last query whose lines are drawn. */
  first: number
  last: number
  /** Only this query's lines, all that are visible at all. */
  only: number | null
}

/**
 * @param pattern [q_pos, k_pos] of one head, row-major, n × n
 * @returns strongest last, so that they are drawn on top
 */
export function attentionLines(
  pattern: Float32Array,
  n: number,
  { first, last, only }: LineRange,
): AttentionLine[] {
  const lines: AttentionLine[] = []
  const threshold = only === null ? faintest : faintest / 10
  const from = Math.max(0, only ?? first)
  const to = Math.min(n - 1, only ?? last)
  for (let query = from; query <= to; query++)
    for (let key = 0; key <= query; key++) {
      const weight = pattern[query * n + key]
      if (weight >= threshold) lines.push({ query, key, weight })
    }
  lines.sort((a, b) => a.weight - b.weight)
  return lines.length > mostLines ? lines.slice(-mostLines) : lines
}

/** A curve from the query's row on the left to the key's on the right. */
export function linePath(
  { query, key }: AttentionLine,
  rowHeight: number,
  width: number,
  { x, y } = { x: 0, y: 0 },
): string {
  const from = y + (query + 0.5) * rowHeight
  const to = y + (key + 0.5) * rowHeight
  return `M${x} ${from}C${x + width / 2} ${from} ${x + width / 2} ${to} ${x + width} ${to}`
}

/** How strong a line of this weight is drawn; faint where another query is the one that is looked at. */
export const lineWidth = (weight: number): number => 0.5 + 2.5 * weight
export const lineOpacity = (weight: number, faint: boolean): number =>
  faint ? 0.35 * weight : 0.15 + 0.85 * weight

const row = 19
const column = 140
const middle = 160
const margin = 12
const heading = 28

/**
 * All lines of one head as they are exported.
 * @param pattern [q_pos, k_pos], row-major, n × n
 * @param labels of the n positions
 */
export function attentionDrawing(
  pattern: Float32Array,
  labels: readonly string[],
  title: string,
  colour: 'accent' | 'pin',
): Drawing {
  const n = labels.length
  const left = margin + column
  const width = left + middle + column + margin
  const height = heading + n * row + margin
  const lines = attentionLines(pattern, n, { first: 0, last: n - 1, only: null })
  return {
    width,
    height,
    draw(strokes, theme) {
      strokes.text(
        margin,
        heading / 2,
        fitText(title, theme.small, width - 2 * margin),
        theme.text,
        'start',
        true,
      )
      labels.forEach((label, i) => {
        const y = heading + (i + 0.5) * row
        const text = fitText(label, theme.small, column - 8)
        strokes.text(left - 6, y, text, theme.text, 'end', false)
        strokes.text(left + middle + 6, y, text, theme.text, 'start', false)
      })
      for (const line of lines)
        strokes.path(
          linePath(line, row, middle, { x: left, y: heading }),
          theme[colour],
          lineWidth(line.weight),
          lineOpacity(line.weight, false),
        )
    },
  }
}
