/** Contrast pairs from files and from the clipboard: JSON, JSON Lines, CSV, TSV. Errors name the line or the entry. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { contrastPair, type ContrastPair } from '../../../preload/preset'
import { separated, textOfFile } from '../../files/separated'

export const mostPairs = 10_000

const pairLike = z.union([contrastPair, z.tuple([z.string(), z.string()])])

const refuse = (file: string, where: string, problem: string): PatchbayError =>
  new PatchbayError('file.malformed', `${file}, ${where}: ${problem}.`, {
    file,
    field: where,
    next: 'Correct it and import the file again; nothing was taken over.',
  })

/** One entry of JSON as a pair. */
function pairOf(file: string, where: string, value: unknown): ContrastPair {
  const parsed = pairLike.safeParse(value)
  if (!parsed.success)
    throw refuse(
      file,
      where,
      'is no pair; expected {"positive": "…", "negative": "…"} or ["…", "…"], both not empty',
    )
  const pair = Array.isArray(parsed.data)
    ? { positive: parsed.data[0], negative: parsed.data[1] }
    : parsed.data
  return checked(file, where, pair)
}

function checked(file: string, where: string, pair: ContrastPair): ContrastPair {
  for (const side of ['positive', 'negative'] as const) {
    if (pair[side].trim() === '') throw refuse(file, where, `the ${side} text is empty`)
    if (pair[side].length > 100_000)
      throw refuse(file, where, `the ${side} text is longer than 100,000 characters`)
  }
  return { positive: pair.positive, negative: pair.negative }
}

function fromJson(file: string, text: string): ContrastPair[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw refuse(file, jsonPlace(text, cause), 'is not valid JSON')
  }
  const list = typeof value === 'object' && value !== null && 'pairs' in value ? value.pairs : value
  if (!Array.isArray(list)) throw refuse(file, 'line 1', 'holds no list of pairs')
  return list.map((entry: unknown, i) => pairOf(file, `entry ${i + 1}`, entry))
}

/** The line of a JSON error, from the position in V8's message; the first line where it gives none. */
function jsonPlace(text: string, cause: unknown): string {
  const message = cause instanceof Error ? cause.message : ''
  const line = /line (\d+)/.exec(message)
  if (line !== null) return `line ${line[1]}`
  const position = /position (\d+)/.exec(message)
  const at = position === null ? (/end of JSON/i.test(message) ? text.length : 0) : Number(position[1])
  return `line ${text.slice(0, at).split('\n').length}`
}

function fromJsonLines(file: string, text: string): ContrastPair[] {
  return text.split(/\r?\n/).flatMap((line, i) => {
    if (line.trim() === '') return []
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      throw refuse(file, `line ${i + 1}`, 'is not valid JSON')
    }
    return [pairOf(file, `line ${i + 1}`, value)]
  })
}

function fromTable(file: string, text: string, separator: ',' | '\t'): ContrastPair[] {
  const rows = separated(file, text, separator)
  const names = rows.at(0)?.cells.map((cell) => cell.trim().toLowerCase()) ?? []
  const named = [names.indexOf('positive'), names.indexOf('negative')]
  const headed = named.every((column) => column >= 0)
  const [positive, negative] = headed ? named : [0, 1]
  return rows.slice(headed ? 1 : 0).map(({ line, cells }) => {
    if (cells.length <= Math.max(positive, negative) || (!headed && cells.length !== 2))
      throw refuse(
        file,
        `line ${line}`,
        `has ${cells.length} column${cells.length === 1 ? '' : 's'}, expected two: positive and negative`,
      )
    return checked(file, `line ${line}`, { positive: cells[positive], negative: cells[negative] })
  })
}

/**
 * The pairs of a file; its kind is taken from its name (`.json`, `.jsonl`, `.tsv`, else CSV).
 * @throws PatchbayError `file.malformed` naming the line or entry
 */
export function pairsOf(name: string, bytes: Uint8Array): ContrastPair[] {
  const text = textOfFile(name, bytes)
  const extension = /\.([a-z]+)$/i.exec(name)?.[1].toLowerCase()
  const read =
    extension === 'json'
      ? fromJson(name, text)
      : extension === 'jsonl' || extension === 'ndjson'
        ? fromJsonLines(name, text)
        : fromTable(name, text, extension === 'tsv' ? '\t' : ',')
  if (read.length === 0) throw refuse(name, 'the file', 'holds no pairs')
  if (read.length > mostPairs)
    throw refuse(name, 'the file', `holds ${read.length} pairs; at most ${mostPairs} can be used`)
  return read
}

/** Pairs from pasted text with tabs, as spreadsheets copy it; null where it is no table, and so ordinary text. */
export function pastedPairs(text: string): ContrastPair[] | null {
  if (!text.includes('\t')) return null
  return fromTable('The pasted table', text, '\t')
}
