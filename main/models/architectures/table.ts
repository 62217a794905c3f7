/** The table of families in this folder's README, made from the registry so that it can't go out of date. */
import { families, ggufFamilies } from './registry'

const begin = '<!-- families: made by .config/families.mjs -->'
const end = '<!-- end of families -->'

/** Every family with the names under which checkpoints of both kinds know it, as a Markdown table. */
export function familyTable(): string {
  const known = new Map<string, { label: string; types: readonly string[]; architectures: string[] }>()
  for (const { name, label, modelTypes } of families)
    known.set(name, { label, types: modelTypes, architectures: [] })
  for (const { name, label, architectures, also = [] } of ggufFamilies)
    for (const family of [name, ...also]) {
      const row = known.get(family) ?? { label, types: [], architectures: [] }
      row.architectures.push(...architectures)
      known.set(family, row)
    }
  const rows = [...known.values()]
    .sort((a, b) => a.label.localeCompare(b.label, 'en'))
    .map(({ label, types, architectures }) => [label, code(types), code(architectures)])
  return table([['Family', '`model_type` in config.json', '`general.architecture` in GGUF'], ...rows])
}

/** `readme` with the table as it is now between its two marks. */
export function withTable(readme: string): string {
  const [before, rest = ''] = readme.split(begin)
  const [, after = ''] = rest.split(end)
  return `${before}${begin}\n\n${familyTable()}\n\n${end}${after}`
}

const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ') || '–'

/** A Markdown table as prettier lays it out; the first row is the heading. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`
  const [heading, ...body] = rows.map(line)
  return [heading, rule, ...body].join('\n')
}
