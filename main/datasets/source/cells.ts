/** Values of a file as cells: text, numbers and booleans as they are, what is nested as JSON text. */
import type { Cell } from '../../../preload/datasets'
import { mostColumns } from '../limits'
import type { Cells } from '../types'

/**
 * What was parsed from JSON as a row: an object's members, or a string in the column `text`.
 * @param text the JSON itself, from which integers that a float64 does not hold are taken as they stand
 * @returns null for what is no row, or is nested deeper than it can be written as text
 */
export function cellsOfJson(value: unknown, text: string): Cells | null {
  try {
    return membersOf(value, text)
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function membersOf(value: unknown, text: string): Cells | null {
  if (typeof value === 'string') return { text: value }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const members = Object.entries(value)
  if (members.length > mostColumns) return null
  if (members.some(([, member]) => mayBeRounded(member)) && longInteger.test(text)) {
    const exact: unknown = JSON.parse(withQuotedIntegers(text))
    return cellsOf(Object.entries(exact as object))
  }
  return cellsOf(members)
}

/** Own properties whatever their names are, `__proto__` too. */
export const cellsOf = (entries: readonly (readonly [string, unknown])[]): Cells =>
  Object.fromEntries(entries.map(([name, value]) => [name, cellOf(value)]))

/** Numbers that JSON has none for are empty (NaN, as pandas means it) or text. */
export function cellOf(value: unknown): Cell {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : Number.isNaN(value) ? null : String(value)
    case 'bigint':
      return exactInteger(value)
    case 'object':
      if (value === null) return null
      if (value instanceof Date) return dateText(value)
      return value instanceof Uint8Array ? null : JSON.stringify(value, nested)
    default:
      return null
  }
}

const exactInteger = (value: bigint): number | string =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : String(value)

const dateText = (date: Date): string | null => (Number.isNaN(date.getTime()) ? null : date.toISOString())

/** Of nested values: bytes are null, typed arrays are lists, maps are objects. */
function nested(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return exactInteger(value)
  if (value instanceof Uint8Array) return null
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return Array.from(value as unknown as ArrayLike<unknown>)
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>)
  return value
}

const mayBeRounded = (value: unknown): boolean =>
  typeof value === 'number' ? Math.abs(value) > Number.MAX_SAFE_INTEGER : typeof value === 'object'

const longInteger = /\d{16}/

/** JSON with the integers in quotes that a float64 does not hold. */
function withQuotedIntegers(json: string): string {
  const part = /["\\]|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g
  let written = ''
  let from = 0
  let inString = false
  for (let found = part.exec(json); found !== null; found = part.exec(json)) {
    const [match] = found
    if (match === '"') inString = !inString
    else if (match === '\\') part.lastIndex++
    else if (!inString && !Number.isSafeInteger(Number(match))) {
      written += `${json.slice(from, found.index)}"${match}"`
      from = part.lastIndex
    }
  }
  return written + json.slice(from)
}
