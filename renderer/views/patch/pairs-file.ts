/** Clean and corrupt prompts from files and from the clipboard: JSON, JSON Lines, CSV, TSV, or plain lines in turn. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { separated, textOfFile } from '../../files/separated'

const prompt = z.string().min(1).max(100_000)

/** Two prompts, and perhaps the answers that the metric counts for and against. */
export const promptPair = z.object({
  clean: prompt,
  corrupt: prompt,
  answer: z.string().min(1).max(1000).optional(),
  wrong: z.string().min(1).max(1000).optional(),
})
export type PromptPair = z.infer<typeof promptPair>

/** As many as a sweep takes; the first is the pair of the bar. */
export const mostPairs = 255

type Format = 'json' | 'jsonl' | 'csv' | 'tsv' | 'lines'
const columns = ['clean', 'corrupt', 'answer', 'wrong'] as const

const refuse = (file: string, where: string, problem: string): PatchbayError =>
  new PatchbayError('file.malformed', `${file}, ${where}: ${problem}.`, {
    file,
    field: where,
    next: 'Correct it and try again; nothing was taken over.',
  })

function pairOf(file: string, where: string, value: unknown): PromptPair {
  const listed = z.tuple([prompt, prompt]).safeParse(value)
  const parsed = promptPair.safeParse(
    listed.success ? { clean: listed.data[0], corrupt: listed.data[1] } : value,
  )
  if (parsed.success) return parsed.data
  throw refuse(
    file,
    where,
    'is no pair; expected {"clean": "…", "corrupt": "…"} (and "answer", "wrong" if you like) or ["…", "…"]',
  )
}

function jsonOf(file: string, where: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw refuse(file, where, 'is not valid JSON')
  }
}

function fromJson(file: string, text: string): PromptPair[] {
  const value = jsonOf(file, 'the text', text)
  const list = typeof value === 'object' && value !== null && 'pairs' in value ? value.pairs : value
  if (!Array.isArray(list)) throw refuse(file, 'the text', 'holds no list of pairs')
  return list.map((entry: unknown, i) => pairOf(file, `entry ${i + 1}`, entry))
}

/** Lines that say something, with their numbers. */
const linesOf = (text: string): { where: string; line: string }[] =>
  text
    .split(/\r?\n/)
    .map((line, i) => ({ where: `line ${i + 1}`, line }))
    .filter(({ line }) => line.trim() !== '')

const fromJsonLines = (file: string, text: string): PromptPair[] =>
  linesOf(text).map(({ where, line }) => pairOf(file, where, jsonOf(file, where, line)))

/** Without a header the columns are clean, corrupt and, where there are more, answer and wrong. */
function fromTable(file: string, text: string, separator: ',' | '\t'): PromptPair[] {
  const rows = separated(file, text, separator)
  const names = rows.at(0)?.cells.map((cell) => cell.trim().toLowerCase()) ?? []
  const headed = names.includes('clean') && names.includes('corrupt')
  const at = headed ? columns.map((name) => names.indexOf(name)) : columns.map((_, i) => i)
  return rows.slice(headed ? 1 : 0).map(({ line, cells }) => {
    if (!headed && (cells.length < 2 || cells.length > 4))
      throw refuse(
        file,
        `line ${line}`,
        `has ${cells.length} column${cells.length === 1 ? '' : 's'}, expected clean, corrupt and perhaps answer, wrong`,
      )
    const given = columns.flatMap((name, i) => {
      const cell = at[i] < 0 ? '' : (cells.at(at[i]) ?? '')
      return cell === '' ? [] : [[name, cell] as const]
    })
    return pairOf(file, `line ${line}`, Object.fromEntries(given))
  })
}

/** A clean prompt and, on the next line that is not empty, its corrupt one. */
function fromLines(file: string, text: string): PromptPair[] {
  const lines = linesOf(text)
  if (lines.length % 2 === 1)
    throw refuse(file, lines[lines.length - 1].where, 'is a clean prompt without a corrupt one')
  return lines.flatMap(({ where, line }, i) =>
    i % 2 === 1 ? [] : [pairOf(file, where, { clean: line, corrupt: lines[i + 1].line })],
  )
}

/** What pasted text is: prompts hold commas, so it is CSV only where a header or quotation marks say so. */
export function formatOf(text: string): Format {
  const [first = ''] = text.trimStart().split(/\r?\n/, 1)
  if (first.startsWith('{') && !/^\{\s*$|"pairs"/.test(first)) return 'jsonl'
  if (first.startsWith('{') || first.startsWith('[')) return isLines(text) ? 'jsonl' : 'json'
  if (text.includes('\t')) return 'tsv'
  const cells = first.split(',').map((cell) => cell.replaceAll('"', '').trim().toLowerCase())
  const headed = cells.includes('clean') && cells.includes('corrupt')
  return headed || /^"(?:[^"]|"")*",/.test(first) ? 'csv' : 'lines'
}

/** A list on each line: JSON Lines of ["…", "…"]. */
const isLines = (text: string): boolean => {
  const lines = linesOf(text)
  return lines.length > 1 && lines.every(({ line }) => /^\s*\[\s*".*\]\s*$/.test(line))
}

const readers: Record<Format, (file: string, text: string) => PromptPair[]> = {
  json: fromJson,
  jsonl: fromJsonLines,
  csv: (file, text) => fromTable(file, text, ','),
  tsv: (file, text) => fromTable(file, text, '\t'),
  lines: fromLines,
}

function read(file: string, text: string, format: Format): PromptPair[] {
  const pairs = readers[format](file, text)
  if (pairs.length === 0) throw refuse(file, 'the text', 'holds no pairs')
  if (pairs.length > mostPairs)
    throw refuse(file, 'the text', `holds ${pairs.length} pairs; a sweep takes ${mostPairs + 1} at most`)
  return pairs
}

/** @throws PatchbayError `file.malformed` naming the line or entry */
export const pairsOfText = (text: string): PromptPair[] => read('The pasted text', text, formatOf(text))

/** @throws PatchbayError `file.malformed` naming the line or entry */
export function pairsOfFile(name: string, bytes: Uint8Array): PromptPair[] {
  const text = textOfFile(name, bytes)
  const extension = /\.([a-z]+)$/i.exec(name)?.[1].toLowerCase() ?? ''
  const known: Record<string, Format> = {
    json: 'json',
    jsonl: 'jsonl',
    ndjson: 'jsonl',
    csv: 'csv',
    tsv: 'tsv',
  }
  return read(name, text, known[extension] ?? formatOf(text))
}
