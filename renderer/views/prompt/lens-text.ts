/** The logit lens as a table of plain text, for a terminal. */
import type { EncodedToken } from '../../../preload/prompt'
import type { LensMap } from '../../../preload/views'
import { formatProbability } from '../../charts/numbers'
import { tokenLabel } from '../../components/token-label'
import { lensToken, pointLabel } from './lens-data'

const width = 12
const mostPoints = 4
const mostPositions = 24

const column = (text: string): string => {
  const letters = Array.from(text)
  return letters.length > width
    ? `${letters.slice(0, width - 1).join('')}…`
    : text + ' '.repeat(width - letters.length)
}

/**
 * Top tokens per position at the last points, embedding side first; of a long prompt its end.
 * @param title first line: model and provider
 */
export function lensText(lens: LensMap, tokens: readonly EncodedToken[], title: string): string {
  const [points, positions] = lens.topIds.shape
  const shown = Array.from(
    { length: Math.min(mostPoints, points) },
    (_, i) => points - Math.min(mostPoints, points) + i,
  )
  const from = Math.max(0, positions - mostPositions)
  const top = (point: number, position: number) =>
    tokenLabel(lensToken(lens, lens.topIds.data[point * positions + position]))
  const lines = [
    title,
    ['pos ', column('token'), ...shown.map((point) => column(pointLabel(point))), 'probability'].join(' '),
  ]
  if (from > 0) lines.push(`… ${from} positions before`)
  for (let position = from; position < positions; position++) {
    const last = (points - 1) * positions + position
    lines.push(
      [
        String(position).padStart(4),
        column(position < tokens.length ? tokenLabel(tokens[position]) : ''),
        ...shown.map((point) => column(top(point, position))),
        formatProbability(lens.topProbabilities.data[last]),
      ].join(' '),
    )
  }
  return lines.join('\n')
}
