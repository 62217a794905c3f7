/** Rows that were pasted: JSON Lines, a table as spreadsheets copy it (or CSV), or a text a line. */
import type { Cell } from '../../preload/datasets'
import { PatchbayError } from '../../preload/errors'
import { separated } from '../files/separated'

export const pastedKinds = ['lines', 'table', 'csv', 'jsonl'] as const
export type PastedKind = (typeof pastedKinds)[number]

/** The kind that pasted text most likely is, by its first line. */
export function pastedKind(text: string): PastedKind {
  const first = text.trimStart().split('\n', 1)[0]
  if (/^\s*[{"]/.test(first) && parsed(first) !== undefined) return 'jsonl'
  return first.includes('\t') ? 'table' : 'lines'
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

const refuse = (line: number, problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `Line ${line} of what was pasted ${problem}.`, {
    field: `line ${line}`,
    next: 'Correct it, or choose how it is read.',
  })

const cellOf = (value: unknown): Cell =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null
    ? value
    : JSON.stringify(value)

/** @throws PatchbayError `input.invalid`, `file.malformed` naming the line */
export function pastedRows(text: string, kind: PastedKind): Record<string, Cell>[] {
  switch (kind) {
    case 'lines':
      return text
        .split(/\r?\n/)
        .filter((line) => line.trim() !== '')
        .map((line) => ({ text: line }))
    case 'jsonl':
      return text.split(/\r?\n/).flatMap((line, i) => {
        if (line.trim() === '') return []
        const value = parsed(line)
        if (typeof value === 'string') return [{ text: value }]
        if (typeof value !== 'object' || value === null || Array.isArray(value))
          throw refuse(i + 1, 'is not a JSON object')
        return [Object.fromEntries(Object.entries(value).map(([name, cell]) => [name, cellOf(cell)]))]
      })
    case 'table':
    case 'csv': {
      const [head, ...rows] = separated('what was pasted', text, kind === 'csv' ? ',' : '\t')
      if (head === undefined) return []
      const names = head.cells.map((name, i) => (name.trim() === '' ? `column ${i + 1}` : name.trim()))
      const twice = names.find((name, i) => names.indexOf(name) !== i)
      if (twice !== undefined) throw refuse(head.line, `names two columns “${twice}”`)
      return rows.map(({ line, cells }) => {
        if (cells.length !== names.length)
          throw refuse(line, `has ${cells.length} columns, the first has ${names.length}`)
        return Object.fromEntries(names.map((name, i) => [name, cells[i]]))
      })
    }
  }
}
