/** What the columns of some rows hold: their kind, how many are empty or different, examples. */
import type { Cell, DatasetColumn } from '../../../preload/datasets'
import { mostColumns } from '../limits'
import type { Cells } from '../types'

type Kind = Exclude<DatasetColumn['type'], 'mixed' | 'empty'>

/** Different values up to which their number is said. */
const fewValues = 100
const examples = 3
export const longestExample = 200

/** Columns in the order in which rows name them. */
export class ColumnCensus {
  private readonly columns = new Map<string, Column>()
  private rows = 0

  add(cells: Cells): void {
    this.rows++
    for (const [name, value] of Object.entries(cells)) {
      let column = this.columns.get(name)
      if (column === undefined) {
        if (this.columns.size >= mostColumns) continue
        column = new Column()
        this.columns.set(name, column)
      }
      column.add(value)
    }
  }

  report(): DatasetColumn[] {
    return [...this.columns].map(([name, column]) => ({ name, ...column.report(this.rows) }))
  }

  /** Mean length of a column's texts, in UTF-16 units. */
  meanLength(name: string): number {
    return this.columns.get(name)?.meanLength ?? 0
  }
}

class Column {
  private readonly kinds = new Set<Kind>()
  /** Null when there are too many. */
  private values: Set<Cell> | null = new Set()
  private readonly shown = new Set<string>()
  private filled = 0
  private length = 0
  private onlyNumerals = true

  get meanLength(): number {
    return this.filled === 0 ? 0 : this.length / this.filled
  }

  add(value: Cell): void {
    if (value === null || value === '') return
    const text = String(value)
    this.filled++
    this.length += text.length
    this.kinds.add(kindOf(value))
    this.onlyNumerals &&= typeof value === 'string' && numeral.test(value)
    this.values?.add(value)
    if (this.values !== null && this.values.size > fewValues) this.values = null
    if (this.shown.size < examples) this.shown.add(shortened(text, longestExample))
  }

  report(rows: number): Omit<DatasetColumn, 'name'> {
    return {
      type: this.type(),
      empty: rows - this.filled,
      distinct: this.values?.size ?? null,
      examples: [...this.shown],
    }
  }

  private type(): DatasetColumn['type'] {
    const [kind, another] = this.kinds
    if (kind === undefined) return 'empty'
    if (another !== undefined) return 'mixed'
    // What a CSV file says is text; that it means numbers is worth saying.
    return kind === 'text' && this.onlyNumerals ? 'number' : kind
  }
}

const numeral = /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?(?:[eE][+-]?\d{1,3})?$/

function kindOf(value: string | number | boolean): Kind {
  if (typeof value === 'number') return 'number'
  if (typeof value === 'boolean') return 'boolean'
  return /^\s*[[{]/.test(value) && isJson(value) ? 'json' : 'text'
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false // text that begins like it
  }
}

/** Cut behind a whole character. */
export const shortened = (text: string, longest: number): string =>
  text.length <= longest ? text : `${text.slice(0, longest).replace(/[\ud800-\udbff]$/, '')}…`
