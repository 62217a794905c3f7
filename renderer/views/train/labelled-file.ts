/** Texts with labels from files: JSON Lines with `text` and `label`, else CSV or TSV with those columns. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { separated, textOfFile } from '../steer/pairs-file'

export interface LabelledTexts {
  /** Texts with the label that comes first in `names`, and those with the other. */
  positive: string[]
  negative: string[]
  /** The two labels as the file writes them. */
  names: [string, string]
}

const refuse = (file: string, where: string, problem: string): PatchbayError =>
  new PatchbayError('file.malformed', `${file}, ${where}: ${problem}.`, {
    file,
    field: where,
    next: 'Correct it and import the file again; nothing was taken over.',
  })

interface Entry {
  where: string
  text: string
  label: string
}

const jsonEntry = z.object({
  text: z.string(),
  label: z.union([z.string(), z.number(), z.boolean()]).transform(String),
})

function fromJsonLines(file: string, content: string): Entry[] {
  return content.split(/\r?\n/).flatMap((line, i) => {
    if (line.trim() === '') return []
    const where = `line ${i + 1}`
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      throw refuse(file, where, 'is not valid JSON')
    }
    const parsed = jsonEntry.safeParse(value)
    if (!parsed.success) throw refuse(file, where, 'is not of the form {"text": "…", "label": …}')
    return [{ where, ...parsed.data }]
  })
}

function fromTable(file: string, content: string, separator: ',' | '\t'): Entry[] {
  const rows = separated(file, content, separator)
  const names = rows.at(0)?.cells.map((cell) => cell.trim().toLowerCase()) ?? []
  const named = [names.indexOf('text'), names.indexOf('label')]
  const headed = named.every((column) => column >= 0)
  const [text, label] = headed ? named : [0, 1]
  return rows.slice(headed ? 1 : 0).map(({ line, cells }) => {
    const where = `line ${line}`
    if (cells.length <= Math.max(text, label))
      throw refuse(file, where, `has ${cells.length} columns, expected text and label`)
    return { where, text: cells[text], label: cells[label].trim() }
  })
}

/** Labels that say by themselves which one has the property. */
const saysYes = ['1', 'true', 'yes', 'positive', 'pos']

/**
 * The texts of a file; its kind is taken from its name (`.jsonl`, `.tsv`, else CSV).
 * @throws PatchbayError `file.malformed` naming the line, or where there are not two labels
 */
export function labelledTexts(file: string, bytes: Uint8Array): LabelledTexts {
  const content = textOfFile(file, bytes)
  const entries = /\.(jsonl|ndjson)$/i.test(file)
    ? fromJsonLines(file, content)
    : fromTable(file, content, /\.tsv$/i.test(file) ? '\t' : ',')
  const empty = entries.find(({ text }) => text.trim() === '')
  if (empty !== undefined) throw refuse(file, empty.where, 'the text is empty')
  const labels = [...new Set(entries.map(({ label }) => label))]
  if (labels.length !== 2)
    throw refuse(
      file,
      'the file',
      `has ${labels.length} different label${labels.length === 1 ? '' : 's'}; a probe tells two apart`,
    )
  const yes = labels.find((label) => saysYes.includes(label.toLowerCase())) ?? labels[0]
  const no = labels.find((label) => label !== yes) ?? ''
  const of = (wanted: string) => entries.filter(({ label }) => label === wanted).map(({ text }) => text)
  return { positive: of(yes), negative: of(no), names: [yes, no] }
}
