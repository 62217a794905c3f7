/** SQL as text: names are quoted, and what a person wrote is looked at before SQLite is. */
import { PatchbayError } from '../../../preload/errors'

/** A name as SQL text can have it anywhere. */
export const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** SQL without what does nothing at its beginning. */
export function withoutLeadingComments(sql: string): string {
  let rest = sql.trimStart()
  for (;;) {
    if (rest.startsWith('--')) {
      const end = rest.indexOf('\n')
      rest = end < 0 ? '' : rest.slice(end + 1)
    } else if (rest.startsWith('/*')) {
      const end = rest.indexOf('*/', 2)
      rest = end < 0 ? '' : rest.slice(end + 2)
    } else if (rest.startsWith(';')) rest = rest.slice(1)
    else return rest
    rest = rest.trimStart()
  }
}

/**
 * Refuses what is no query before SQLite compiles it, for compiling a PRAGMA may already do what it says.
 * @throws PatchbayError `input.invalid`
 */
export function checkQuery(sql: string): void {
  if (sql.includes('\0')) throw invalid('has a character NUL in it')
  if (!/^(select|with|values)\b/i.test(withoutLeadingComments(sql)))
    throw invalid('is no SELECT; nothing can be changed here')
}

/** @throws PatchbayError `input.invalid` where something follows the first statement */
export function checkRest(rest: string): void {
  if (withoutLeadingComments(rest) !== '') throw invalid('is more than one statement')
}

const invalid = (problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `The query ${problem}.`, {
    field: 'sql',
    next: 'Write one SELECT over the table rows.',
  })
