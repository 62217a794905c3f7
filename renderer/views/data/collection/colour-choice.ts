/** What rows are coloured by: their label, or a column of the table. */
import type { Collection } from '../../../../preload/collections'
import type { Cell } from '../../../../preload/datasets'
import type { CloudColour } from '../../../charts/cloud-option'
import { extent, type Domain } from '../../../charts/domains'
import { displayText } from '../../../../preload/token-text'

/** Classes with a colour of their own; the rest share one. */
const most = 7

/** Columns that rows can be coloured by, the label first. */
export function colourColumns({ columns }: Collection): { value: string; label: string }[] {
  const fit = columns.filter(({ name, type }) => name === 'label' || type === 'number' || type === 'boolean')
  const first = fit.filter(({ name }) => name === 'label')
  return [
    { value: '', label: 'nothing' },
    ...[...first, ...fit.filter(({ name }) => name !== 'label')].slice(0, 200).map(({ name }) => ({
      value: name,
      label: name,
    })),
  ]
}

/** The most frequent values as classes; rows with none of them are "others". */
function classes(values: readonly Cell[]): CloudColour {
  const counts = new Map<string, number>()
  const texts = values.map((value) => (value === null ? null : String(value)))
  for (const text of texts) if (text !== null) counts.set(text, (counts.get(text) ?? 0) + 1)
  const names = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name)
  const own = names.slice(0, most)
  const index = new Map(own.map((name, i) => [name, i]))
  const rest = names.length > own.length ? own.length : -1
  return {
    kind: 'class',
    names: [...own, ...(rest < 0 ? [] : ['others'])].map((name) =>
      displayText(name, { spaces: false, longest: 40 }),
    ),
    index: Int32Array.from(texts, (text) => (text === null ? -1 : (index.get(text) ?? rest))),
  }
}

/** @param values of the rows in the picture, in its order */
export function colourOf(
  column: string,
  type: 'text' | 'number' | 'boolean',
  values: readonly Cell[],
): CloudColour {
  if (column === '') return { kind: 'none' }
  if (type !== 'number') return classes(values)
  const numbers = Float64Array.from(values, (value) => (typeof value === 'number' ? value : NaN))
  const [low, high] = extent(numbers) ?? [0, 1]
  const domain: Domain = { kind: 'sequential', min: low, max: high > low ? high : low + 1 }
  return { kind: 'number', title: column, values: numbers, domain }
}
