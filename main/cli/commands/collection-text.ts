/** A search as text for a terminal: the summary, then each context with its position between marks. */
import type { Context, SearchResult } from '../../../preload/collections'
import { contextRows } from '../../../preload/context-text'
import { displayText } from '../../../preload/token-text'
import { forTerminal } from '../output'

const number = (value: number): string => String(Number(value.toPrecision(4)))

export function searchLines(result: SearchResult): string[] {
  const { what, positions, rows, mean, standardDeviation, active, top, bottom, byLabel, tokens } = result
  return [
    forTerminal(what),
    `${positions} positions in ${rows} rows: mean ${number(mean)} ± ${number(standardDeviation)}, ${number(100 * active)} % above 0`,
    ...byLabel
      .slice(0, 10)
      .map(
        ({ label, mean: own, positions: n }) => `label  ${forTerminal(label)}  mean ${number(own)} of ${n}`,
      ),
    ...tokens
      .slice(0, 10)
      .map(
        ({ token, mean: own, count }) => `token  ${displayText(token.text)}  mean ${number(own)} of ${count}`,
      ),
    'highest:',
    ...top.map(contextLine),
    'lowest:',
    ...bottom.slice(0, 5).map(contextLine),
  ]
}

function contextLine(context: Context): string {
  const { position, value, label, start, tokens } = context
  const text = tokens
    .map(({ text: each }, i) => {
      const shown = forTerminal(each).replaceAll('\n', '⏎')
      return start + i === position ? `⟦${shown}⟧` : shown
    })
    .join('')
  return `${number(value).padStart(10)}  ${contextRows(context)}${label === null ? '' : ` (${forTerminal(label)})`}  ${text}`
}
