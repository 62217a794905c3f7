/** Templates of rows: text with `{{column}}` in it. Values are put in as they are and never read as templates. */
import { PatchbayError } from '../../../preload/errors'
import { quoted } from '../../models/formats/malformed'
import type { Cells } from '../types'

export type TemplatePart = string | { readonly column: string }

/**
 * `{{name}}` is the column of that name (white space around it does not count), `{{{{` is two braces, everything else is
 * text.
 * @throws PatchbayError `input.invalid` naming the character where a column begins that has no end or no name
 */
export function parseTemplate(template: string): TemplatePart[] {
  const parts: TemplatePart[] = []
  let text = ''
  for (let at = 0; at < template.length;) {
    const open = template.indexOf('{{', at)
    if (open < 0) {
      text += template.slice(at)
      break
    }
    text += template.slice(at, open)
    if (template.startsWith('{{{{', open)) {
      text += '{{'
      at = open + 4
      continue
    }
    const close = template.indexOf('}}', open + 2)
    const column = close < 0 ? '' : template.slice(open + 2, close).trim()
    if (column === '') throw unfinished(close < 0 ? 'is not closed' : 'has no name', open)
    if (text !== '') parts.push(text)
    text = ''
    parts.push({ column })
    at = close + 2
  }
  if (text !== '') parts.push(text)
  return parts
}

const unfinished = (problem: string, at: number): PatchbayError =>
  new PatchbayError('input.invalid', `The column at character ${at + 1} of the template ${problem}.`, {
    field: 'template',
    next: 'Write {{column}}, or {{{{ for two braces.',
    offset: at,
  })

export const columnsOf = (parts: readonly TemplatePart[]): string[] =>
  parts.flatMap((part) => (typeof part === 'string' ? [] : [part.column]))

/** @throws PatchbayError `input.invalid` where the row has no value in a column that is used */
export const fill = (parts: readonly TemplatePart[], cells: Cells): string =>
  parts.map((part) => (typeof part === 'string' ? part : textOf(cells, part.column))).join('')

/** A cell as text. @throws PatchbayError `input.invalid` where there is none */
export function textOf(cells: Cells, column: string): string {
  const value = Object.hasOwn(cells, column) ? cells[column] : null
  if (value !== null) return String(value)
  throw new PatchbayError('input.invalid', `The row has no value in the column ${quoted(column)}.`, {
    field: column,
    next: 'Choose another column, or give it a value.',
  })
}
