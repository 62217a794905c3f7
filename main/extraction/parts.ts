/** The parts of a data set that go through a block at once, the same ones whenever the extraction is gone on with. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { asPatchbayError } from '../../preload/errors'
import { writeWhole } from '../files/durable-file'
import { batchFrom, tokensOf, type TodoRow } from './row'

export interface Part {
  readonly index: number
  readonly rows: readonly TodoRow[]
  /** Columns of its batch: tokens of the longest row. */
  readonly columns: number
  /** Tokens without padding. */
  readonly tokens: number
}

const partsFile = z.strictObject({ version: z.literal(1), tokens: z.number().int().positive() })

/**
 * Parts of at most as many tokens (with padding) as this extraction began with.
 * @param tokens what it begins with, where it was not begun
 * @throws PatchbayError `disk.full`, `disk.failed`
 */
export async function partsOf(folder: string, rows: readonly TodoRow[], tokens: number): Promise<Part[]> {
  const file = path.join(folder, 'parts.json')
  const known = await tokensIn(file)
  if (known === null) await writeWhole(file, JSON.stringify({ version: 1, tokens }))
  const parts: Part[] = []
  for (let first = 0; first < rows.length; first += parts[parts.length - 1].rows.length) {
    const own = rows.slice(first, first + batchFrom(rows, first, known ?? tokens))
    const columns = Math.max(...own.map((row) => row.tokens.length))
    parts.push({ index: parts.length, rows: own, columns, tokens: tokensOf(own) })
  }
  return parts
}

/** Null where there is none, or none that can be read: the parts are then others, and their streams are made again. */
async function tokensIn(file: string): Promise<number | null> {
  try {
    return partsFile.parse(JSON.parse(await readFile(file, 'utf8'))).tokens
  } catch (error) {
    const { code } = asPatchbayError(error)
    if (code === 'file.unreadable' || code === 'disk.failed') throw error
    return null
  }
}

/** What the streams of these parts are: they change with any row, the model or the parts. */
export function identityOf(parts: readonly Part[], what: string): string {
  const hash = createHash('sha256').update(what)
  for (const { rows } of parts) for (const { rows: same } of rows) hash.update(`\n${same[0].key}`)
  return hash.update(`\n${parts.map(({ rows }) => rows.length).join()}`).digest('hex')
}
