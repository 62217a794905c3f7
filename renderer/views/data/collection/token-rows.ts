/** The tokens of a row as a table: position, token, id, norm, and the values themselves where they are few. */
import type { CallOutput } from '../../../../preload/api'
import type { CsvCell, Table } from '../../../charts/csv'
import { tokenLabel } from '../../../components/token-label'

export interface TokenRow {
  position: number
  label: string
  text: string
  id: number
  /** NaN where the output has no vector there. */
  norm: number
  values: number[]
}

/** Values a token that are shown. */
const most = 16

export function tokenRows({
  tokens,
  positions,
  norms,
  values,
}: CallOutput<'collections.tokens'>): TokenRow[] {
  const width = values === null || positions.length === 0 ? 0 : values.data.length / positions.length
  const byPosition = new Map(Array.from(positions, (position, i) => [position, i]))
  return tokens.map((token, position) => {
    const i = byPosition.get(position)
    return {
      position,
      label: tokenLabel(token),
      text: token.text,
      id: token.id,
      norm: i === undefined ? NaN : norms[i],
      values:
        i === undefined || values === null || width > most
          ? []
          : Array.from(values.data.subarray(i * width, (i + 1) * width)),
    }
  })
}

export function tokenTable(rows: readonly TokenRow[]): Table {
  const width = Math.max(0, ...rows.map(({ values }) => values.length))
  return {
    header: ['position', 'token', 'id', 'norm', ...Array.from({ length: width }, (_, i) => `value ${i}`)],
    rows: rows.map(({ position, text, id, norm, values }): CsvCell[] => [
      position,
      text,
      id,
      norm,
      ...Array.from({ length: width }, (_, i) => values[i] ?? NaN),
    ]),
  }
}
