/** Which column is probably the prompt, and which the label: by names that data sets use, then by what is in them. */
import { z } from 'zod'
import type { Cell, DatasetColumn, RowPrompt } from '../../../preload/datasets'
import type { Cells } from '../types'

const textNames = [
  'text',
  'prompt',
  'content',
  'sentence',
  'question',
  'instruction',
  'input',
  'document',
  'review',
]
const labelNames = [
  'label',
  'labels',
  'class',
  'category',
  'target',
  'sentiment',
  'y',
  'answer',
  'type',
  'split',
]
const mostClasses = 50

export interface Suggestion {
  prompt: RowPrompt | null
  label: string | null
}

/**
 * @param columns of the rows that were looked at
 * @param rows some of them
 * @param meanLength of a column's texts
 */
export function suggest(
  columns: readonly DatasetColumn[],
  rows: readonly Cells[],
  meanLength: (column: string) => number,
): Suggestion {
  const prompt = promptOf(columns, rows, meanLength)
  const used = prompt !== null && 'column' in prompt ? prompt.column : null
  return { prompt, label: labelOf(columns, rows.length, used) }
}

function promptOf(
  columns: readonly DatasetColumn[],
  rows: readonly Cells[],
  meanLength: (column: string) => number,
): RowPrompt | null {
  const usable = columns.filter(({ name }) => name !== '' && name.length <= 1000)
  const holds = (schema: z.ZodType): string | undefined =>
    usable.find(({ name, type }) => type === 'json' && allParse(rows, name, schema))?.name
  const messages = holds(chat)
  if (messages !== undefined) return { kind: 'messages', column: messages, addGenerationPrompt: true }
  const texts = usable.filter(({ type }) => type === 'text' || type === 'mixed').map(({ name }) => name)
  const named = byName(texts, textNames)
  const longest = texts.toSorted((a, b) => meanLength(b) - meanLength(a)).at(0)
  const column = named ?? longest
  if (column !== undefined) return { kind: 'column', column }
  const tokens = holds(ids)
  return tokens === undefined ? null : { kind: 'tokens', column: tokens }
}

/** A column of few values that come again: by name, else the one with the fewest. */
function labelOf(columns: readonly DatasetColumn[], rows: number, prompt: string | null): string | null {
  const classes = columns.filter(
    ({ name, type, distinct }) =>
      name !== prompt &&
      name !== '' &&
      type !== 'json' &&
      distinct !== null &&
      distinct >= 2 &&
      distinct <= Math.min(mostClasses, Math.max(2, rows / 2)),
  )
  const named = byName(
    classes.map(({ name }) => name),
    labelNames,
  )
  return named ?? classes.toSorted((a, b) => (a.distinct ?? 0) - (b.distinct ?? 0)).at(0)?.name ?? null
}

function byName(names: readonly string[], wanted: readonly string[]): string | undefined {
  for (const each of wanted) {
    const found = names.find((name) => name.toLowerCase() === each)
    if (found !== undefined) return found
  }
  return undefined
}

const chat = z.array(z.object({ role: z.string(), content: z.string() })).min(1)
const ids = z.array(z.number().int().nonnegative()).min(1)

/** Whether every value that is there is JSON of this form, and one is. */
function allParse(rows: readonly Cells[], column: string, schema: z.ZodType): boolean {
  const values = rows
    .slice(0, 20)
    .flatMap((cells): Cell[] => (Object.hasOwn(cells, column) ? [cells[column]] : []))
    .filter((value) => value !== null)
  return values.length > 0 && values.every((value) => schema.safeParse(jsonOrUndefined(value)).success)
}

function jsonOrUndefined(value: Cell): unknown {
  try {
    return JSON.parse(String(value))
  } catch {
    return undefined // of no form
  }
}
