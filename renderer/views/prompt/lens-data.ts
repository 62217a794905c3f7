/** The logit lens as rows and cells: labels, colours and words of each, independent of how they are drawn. */
import type { EncodedToken, TokenInfo } from '../../../preload/prompt'
import type { LensMap } from '../../../preload/views'
import { quantities } from '../../charts/domains'
import { formatNumber, formatProbability } from '../../charts/numbers'
import { colourAt, inkOn, tableIndex } from '../../charts/scales'
import type { ColourMapName } from '../../charts/scales'
import { tokenLabel } from '../../components/token-label'

export const lensModes = ['probability', 'entropy', 'rank'] as const
export type LensMode = (typeof lensModes)[number]

/** What a mode colours by: its words, its map, its ends. `fraction` is 0 to 1 along the map. */
export interface LensScale {
  title: string
  map: ColourMapName
  low: string
  high: string
  fraction: (cell: number) => number
}

/** Name of a residual-stream point as a row: the embedding, then the blocks behind which it lies. */
export const pointLabel = (point: number): string => (point === 0 ? 'embed' : `block ${point - 1}`)

export function lensScale(lens: LensMap, mode: LensMode, vocab: number): LensScale {
  const percent = { low: '0 %', high: '100 %' }
  switch (mode) {
    case 'probability':
      return {
        title: 'probability of the top token',
        map: quantities.probability.sequential,
        ...percent,
        fraction: (cell) => lens.topProbabilities.data[cell],
      }
    case 'entropy': {
      const { max } = quantities.entropy.domain(lens.entropies.data)
      return {
        title: quantities.entropy.title,
        map: quantities.entropy.sequential,
        low: '0',
        high: formatNumber(max),
        fraction: (cell) => lens.entropies.data[cell] / max,
      }
    }
    case 'rank': {
      // Logarithmic: rank 1 against 10 says as much as 100 against 1,000. Bright is near the top, as for probabilities.
      const span = Math.log(Math.max(2, vocab))
      return {
        title: 'rank of the final token (log)',
        map: 'viridis',
        low: formatNumber(vocab),
        high: '1',
        fraction: (cell) => 1 - Math.log(lens.finalRanks.data[cell] + 1) / span,
      }
    }
  }
}

/** What is drawn: labels and, per cell [point, pos], text, fill and ink. */
export interface LensPicture {
  points: number
  positions: number
  rowLabels: string[]
  columnLabels: string[]
  text: (cell: number) => string
  fill: (cell: number) => string
  ink: (cell: number) => string
}

const unknownToken = (id: number): TokenInfo => ({ id, piece: `#${id}`, text: '', special: false })

/** The token of an id as the lens names it. */
export const lensToken = (lens: LensMap, id: number): TokenInfo => lens.tokens[String(id)] ?? unknownToken(id)

export function lensPicture(lens: LensMap, tokens: readonly EncodedToken[], scale: LensScale): LensPicture {
  const [points, positions] = lens.topIds.shape
  const labels = new Map<number, string>()
  const colours = new Map<number, { fill: string; ink: string }>()
  const colourOf = (cell: number) => {
    const fraction = scale.fraction(cell)
    const at = tableIndex(Number.isNaN(fraction) ? 0 : fraction)
    const known = colours.get(at)
    if (known !== undefined) return known
    const fill = colourAt(scale.map, fraction)
    const made = { fill, ink: inkOn(fill) }
    colours.set(at, made)
    return made
  }
  return {
    points,
    positions,
    rowLabels: Array.from({ length: points }, (_, point) => pointLabel(point)),
    columnLabels: Array.from({ length: positions }, (_, i) =>
      i < tokens.length ? tokenLabel(tokens[i]) : String(i),
    ),
    text: (cell) => {
      const id = lens.topIds.data[cell]
      const known = labels.get(id)
      if (known !== undefined) return known
      const label = tokenLabel(lensToken(lens, id))
      labels.set(id, label)
      return label
    },
    fill: (cell) => colourOf(cell).fill,
    ink: (cell) => colourOf(cell).ink,
  }
}

/** A cell in words, for the card beside it and for screen readers. */
export function describeCell(
  lens: LensMap,
  tokens: readonly EncodedToken[],
  point: number,
  position: number,
): string[] {
  const cell = point * lens.topIds.shape[1] + position
  const top = tokenLabel(lensToken(lens, lens.topIds.data[cell]))
  return [
    `${pointLabel(point)}, position ${position} ${position < tokens.length ? tokenLabel(tokens[position]) : ''}`,
    `top ${top} ${formatProbability(lens.topProbabilities.data[cell])}`,
    `entropy ${formatNumber(lens.entropies.data[cell])} nats`,
    `final token: rank ${lens.finalRanks.data[cell] + 1}, ${formatProbability(lens.finalProbabilities.data[cell])}`,
  ]
}
