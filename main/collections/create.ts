/** Making a collection's folder: rows as they are prepared, tokens that occur in them, and last what it is. */
import { rm } from 'node:fs/promises'
import type { Cell, PreparedRow, RowFailure } from '../../preload/datasets'
import { asPatchbayError, PatchbayError, toWire } from '../../preload/errors'
import type { EncodedToken } from '../../preload/prompt'
import { rowKey } from '../cache/row-request'
import { makeLastingFolder, realFs } from '../cache/store/store-fs'
import { pathsOf, writeLabel, writeManifest } from './folder'
import { writeLines } from './lines-file'
import { outputName } from './names'
import { selectPositions, TokenPattern, type PositionedRow } from './positions'
import { VERSION, type Manifest, type StoredOutput, type StoredRow } from './schema'
import type { NewCollection, NewOutput } from './writer'

/** A row as a data set gives it. */
export type NewRow = PreparedRow & { text: string; cells: Record<string, Cell> }

/** What preparing a data set gives, one after the other. */
export type NewItem =
  | { kind: 'row'; row: NewRow }
  | { kind: 'failure'; failure: RowFailure }
  | { kind: 'duplicate'; row: number; of: number }

/**
 * Writes the folder of a new collection; where that fails or is cancelled nothing of it stays.
 * A row that has none of the positions of an output is a failure.
 * @throws PatchbayError `disk.full`, `disk.failed`, `run.cancelled`; `input.invalid` for two outputs of one name, or where
 *   no row can be used; or what `items` throws
 */
export async function createFolder(
  folder: string,
  id: string,
  collection: NewCollection,
  items: AsyncIterable<NewItem>,
  signal?: AbortSignal,
): Promise<Manifest> {
  const outputs = collection.outputs.map(storedOutputOf)
  const twice = outputs.find(({ name }, i) => outputs.findIndex((other) => other.name === name) !== i)
  if (twice !== undefined)
    throw new PatchbayError('input.invalid', `The output ${twice.name} is asked for twice.`, {
      field: 'outputs',
      next: 'Ask for it once.',
    })
  try {
    await makeLastingFolder(folder, realFs)
    const manifest = await writeRows(folder, id, collection, outputs, items, signal)
    await writeLabel(folder, { name: collection.name, note: collection.note })
    await writeManifest(folder, manifest)
    return manifest
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => undefined) // the first failure is the one to report
    throw asPatchbayError(error)
  }
}

function storedOutputOf({
  hook,
  positions,
  reduction,
  dtype,
  dims,
  sizes,
  content,
  part,
}: NewOutput): StoredOutput {
  return {
    name: outputName(hook, positions, reduction, { content, part }),
    hook,
    asked: { hooks: [hook], positions, reduction, dtype },
    // Indices have to stay whole numbers.
    dtype: part === 'indices' ? 'float32' : dtype,
    dims,
    sizes,
    error: 0,
    content,
    part,
  }
}

async function writeRows(
  folder: string,
  id: string,
  { provenance, dataset }: NewCollection,
  outputs: StoredOutput[],
  items: AsyncIterable<NewItem>,
  signal: AbortSignal | undefined,
): Promise<Manifest> {
  const { fingerprint: model, precision, provider } = provenance
  const rules = rulesOf(outputs)
  const tokens = new Map<number, EncodedToken>()
  const labels = new Map<string, number>()
  const columns = new Map<string, ColumnType>()
  const failures: RowFailure[] = []
  let duplicates = 0
  let total = 0
  async function* rows(): AsyncGenerator<StoredRow> {
    for await (const item of items) {
      if (item.kind === 'duplicate') duplicates++
      if (item.kind === 'failure') failures.push(item.failure)
      if (item.kind !== 'row') continue
      const { row, label, text, span, truncated, cells } = item.row
      const ids = item.row.tokens.map((token) => token.id)
      const own = ownRanges(item.row.tokens)
      try {
        for (const rule of rules) rule({ tokens: ids, own, span }, item.row.tokens)
      } catch (error) {
        failures.push({ row, error: toWire(asPatchbayError(error)) })
        continue
      }
      for (const token of item.row.tokens) tokens.set(token.id, token)
      if (label !== null) labels.set(label, (labels.get(label) ?? 0) + 1)
      for (const [name, value] of Object.entries(cells)) noteColumn(columns, name, value)
      total += ids.length
      const key = rowKey({ version: 1, model, precision, provider, tokens: ids, interventions: [] })
      yield { source: row, label, text, tokens: ids, own, span, truncated, cells, key }
    }
  }
  const paths = pathsOf(folder)
  const rowsFile = await writeLines(paths.rows, rows(), signal)
  if (rowsFile.lines === 0)
    throw new PatchbayError('input.invalid', 'No row of the data set can be used.', {
      field: 'dataset',
      next:
        failures.length === 0
          ? 'It has no rows; choose another file.'
          : `Row ${failures[0].row}: ${failures[0].error.message}`,
    })
  const tokensFile = await writeLines(
    paths.tokens,
    [...tokens.values()]
      .sort((a, b) => a.id - b.id)
      .map((each) => [each.id, each.piece, each.text, each.special]),
    signal,
  )
  return {
    version: VERSION,
    id,
    created: new Date().toISOString(),
    provenance,
    // Rows that were pasted stand in rows.jsonl.
    dataset: dataset.source.kind === 'rows' ? { ...dataset, source: { kind: 'rows', rows: [] } } : dataset,
    outputs,
    columns: [...columns].map(([name, type]) => ({ name, type: type ?? 'text' })),
    labels: [...labels].map(([label, count]) => ({ label, rows: count })).sort((a, b) => b.rows - a.rows),
    failures,
    duplicates,
    tokens: total,
    files: { rows: rowsFile, tokens: tokensFile },
    complete: false,
  }
}

/** One check for each different rule of the outputs. */
function rulesOf(
  outputs: readonly StoredOutput[],
): ((row: PositionedRow, tokens: readonly EncodedToken[]) => void)[] {
  const rules = new Map(outputs.map(({ asked: { positions } }) => [JSON.stringify(positions), positions]))
  return [...rules.values()].map((rule) => {
    const pattern = rule.kind === 'matching' ? new TokenPattern(rule.pattern) : null
    return (row, tokens) => {
      pattern?.learn(tokens)
      selectPositions(rule, row, (token) => pattern?.matches(token) === true)
    }
  })
}

/** Ranges of the tokens that are of the text. */
export function ownRanges(tokens: readonly { origin: EncodedToken['origin'] }[]): [number, number][] {
  const ranges: [number, number][] = []
  tokens.forEach(({ origin }, i) => {
    if (origin !== 'text') return
    const last = ranges.at(-1)
    if (last?.[1] === i) last[1] = i + 1
    else ranges.push([i, i + 1])
  })
  return ranges
}

/** Null as long as only empty cells were seen. */
type ColumnType = 'text' | 'number' | 'boolean' | null

function noteColumn(columns: Map<string, ColumnType>, name: string, value: Cell): void {
  const type =
    value === null
      ? null
      : typeof value === 'string'
        ? 'text'
        : typeof value === 'number'
          ? 'number'
          : 'boolean'
  const known = columns.get(name)
  if (known === undefined || known === null) columns.set(name, type)
  else if (type !== null && type !== known) columns.set(name, 'text')
}
