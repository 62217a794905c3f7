/** Rows of a data set as a model gets them: prompts built, encoded, cut, with their spans and labels. */
import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { DatasetSpec } from '../../../preload/datasets'
import { PatchbayError, toWire, type ErrorCode } from '../../../preload/errors'
import type { EncodedPrompt, EncodedToken } from '../../../preload/prompt'
import { nearestNames } from '../../models/nearest-names'
import { quoted } from '../../models/formats/malformed'
import { throwIfCancelled } from '../../runtime/cancelled'
import { openSource } from '../source/open'
import type { SourceFailure } from '../source/rows'
import type { Cells, Prepared, PreparedDataRow, ReadOptions, RowEncoder, SourceRow } from '../types'
import { batchByBatch, inBatches } from './batches'
import { rowPromptMaker, type BuiltPrompt, type RowPromptMaker } from './row-prompt'
import { selected } from './select'
import { positionsOfMarked, positionsOfValue, type Positions } from './span'
import { textOf } from './template'
import { truncate } from './truncate'

export interface PrepareOptions extends ReadOptions {
  /** Only some of the selected rows, in order; the others are not encoded. */
  window?: { offset: number; count: number }
}

/** Rows whose columns are known before the first is prepared. */
const lookAhead = 1000

/** Rows that are encoded at a time: the tokenizer is in another thread, and is asked for the next while one is taken. */
const batchRows = 256

/** Their texts together, in UTF-16 units: tokens with what is known of them take a hundred times the memory. */
const batchText = 1 << 18

/**
 * What becomes of every selected row, in the source's order: a row of tokens, a failure, or a duplicate.
 * @throws PatchbayError for what is wrong with all rows: `input.invalid` (a template, a column that none of the first 1,000
 * rows has, with the nearest names), what opening and reading the source throws, `run.cancelled`
 */
export async function* prepareRows(
  spec: DatasetSpec,
  encoder: RowEncoder,
  { signal, window }: PrepareOptions = {},
): AsyncGenerator<Prepared> {
  const maker = rowPromptMaker(spec)
  const source = selected(await openSource(spec.source), spec, signal)
  const rows = windowed(withKnownColumns(source, columnsOf(spec, maker)), window, signal)
  const batches = inBatches(rows, { most: batchRows, weight: batchText, weigh: textLength })
  const many = signalOfMany(signal)
  const seen = new Map<string, number>()
  for await (const prepared of batchByBatch(batches, (item) => prepare(item, spec, maker, encoder, many))) {
    throwIfCancelled(signal)
    yield spec.deduplicate ? withoutDuplicate(prepared, seen) : prepared
  }
}

async function* windowed<T>(
  rows: AsyncIterable<T>,
  window: PrepareOptions['window'],
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  let index = 0
  for await (const row of rows) {
    throwIfCancelled(signal)
    const place = index++
    if (window !== undefined && place < window.offset) continue
    if (window !== undefined && place >= window.offset + window.count) return
    yield row
  }
}

const textLength = (item: SourceRow | SourceFailure): number =>
  'cells' in item
    ? Object.values(item.cells).reduce<number>(
        (sum, cell) => sum + (typeof cell === 'string' ? cell.length : 0),
        0,
      )
    : 0

/** A signal that a whole batch may listen to; on the caller's own, so many listeners would look like a leak. */
function signalOfMany(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined) return undefined
  const many = AbortSignal.any([signal])
  setMaxListeners(batchRows * 2, many)
  return many
}

function columnsOf({ label, span }: DatasetSpec, { columns }: RowPromptMaker): string[] {
  const others = [label, span?.kind === 'column' ? span.column : null]
  return [...new Set([...columns, ...others.filter((column) => column !== null)])]
}

/** Passes rows on once every needed column was seen, or enough rows without it. */
async function* withKnownColumns(
  rows: AsyncIterable<SourceRow | SourceFailure>,
  needed: readonly string[],
): AsyncGenerator<SourceRow | SourceFailure> {
  const missing = new Set(needed)
  const known = new Set<string>()
  let waiting: (SourceRow | SourceFailure)[] | null = []
  for await (const item of rows) {
    if (waiting === null) {
      yield item
      continue
    }
    waiting.push(item)
    if ('cells' in item)
      for (const column of Object.keys(item.cells)) {
        known.add(column)
        missing.delete(column)
      }
    if (missing.size > 0 && waiting.length < lookAhead) continue
    if (missing.size > 0) throw unknownColumn(missing, known)
    yield* waiting
    waiting = null
  }
  // Where no row could be read, their own errors say more.
  if (waiting === null) return
  if (known.size > 0 && missing.size > 0) throw unknownColumn(missing, known)
  yield* waiting
}

function unknownColumn(missing: ReadonlySet<string>, known: ReadonlySet<string>): PatchbayError {
  const [column] = missing
  const nearest = nearestNames(column, [...known])
    .map(quoted)
    .join(', ')
  return new PatchbayError('input.invalid', `There is no column ${quoted(column)}.`, {
    field: column,
    next: `The nearest names are ${nearest}.`,
  })
}

const notOfRows: readonly ErrorCode[] = ['run.cancelled', 'model.not-open', 'engine.stopped']

async function prepare(
  item: SourceRow | SourceFailure,
  spec: DatasetSpec,
  maker: RowPromptMaker,
  encoder: RowEncoder,
  signal?: AbortSignal,
): Promise<Prepared> {
  try {
    if ('error' in item) throw item.error
    const built = maker.build(item.cells)
    const encoded =
      built.kind === 'ids' ? described(built.ids, encoder) : await encoder.tokenise(built.prompt, signal)
    return { kind: 'row', row: rowOf(item, spec, encoder, built, encoded) }
  } catch (thrown) {
    throwIfCancelled(signal)
    // A defect, or a model that went away, is not the row's fault.
    if (!(thrown instanceof PatchbayError) || notOfRows.includes(thrown.code)) throw thrown
    return { kind: 'failure', failure: { row: item.row, error: toWire(thrown) } }
  }
}

function rowOf(
  { row, cells }: SourceRow,
  spec: DatasetSpec,
  { facts }: RowEncoder,
  built: BuiltPrompt,
  encoded: EncodedPrompt,
): PreparedDataRow {
  const most = Math.min(spec.maxTokens ?? facts.contextLength, facts.contextLength)
  const span = spanOf(spec, cells, built, encoded)
  const cut = truncate(encoded.tokens, span, most, spec.truncate)
  const notes = [...encoded.notes]
  if (cut.truncated > 0)
    notes.push(`${cut.truncated} tokens were cut off at the ${spec.truncate}, so that ${most} are left.`)
  return { row, ...cut, label: labelOf(cells, spec.label), notes, text: encoded.rendered, cells }
}

function spanOf(
  { span }: DatasetSpec,
  cells: Cells,
  built: BuiltPrompt,
  encoded: EncodedPrompt,
): Positions | null {
  if (span === null) return null
  if (span.kind === 'column') return positionsOfValue(encoded, textOf(cells, span.column), span.occurrence)
  return built.kind === 'ids' || built.marked === null
    ? null
    : positionsOfMarked(encoded, built.prompt, built.marked)
}

/** An empty text is no label: CSV has nothing else to say that there is none. */
function labelOf(cells: Cells, column: string | null): string | null {
  const value = column !== null && Object.hasOwn(cells, column) ? cells[column] : null
  return value === null || value === '' ? null : String(value)
}

/** Given ids as an encoded prompt: a special one in front stands before the text, as BOS does. */
function described(ids: readonly number[], encoder: RowEncoder): EncodedPrompt {
  const { vocab } = encoder.facts
  const unknown = ids.find((id) => id >= vocab)
  if (unknown !== undefined)
    throw new PatchbayError(
      'input.invalid',
      `The model has no token ${unknown}: its ids are 0 to ${vocab - 1}.`,
      {
        next: 'Check that the ids were made with this model’s tokenizer.',
      },
    )
  let rendered = ''
  const encoded = encoder.tokens(ids).map((info, position): EncodedToken => {
    const start = rendered.length
    rendered += info.text
    return { ...info, origin: position === 0 && info.special ? 'bos' : 'text', start, end: rendered.length }
  })
  return { tokens: encoded, rendered, notes: ['The token ids were given.'] }
}

function withoutDuplicate(prepared: Prepared, seen: Map<string, number>): Prepared {
  if (prepared.kind !== 'row') return prepared
  const { row, tokens } = prepared.row
  const ids = Int32Array.from(tokens, ({ id }) => id)
  const key = createHash('sha256').update(ids).digest('base64')
  const of = seen.get(key)
  if (of !== undefined) return { kind: 'duplicate', row, of }
  seen.set(key, row)
  return prepared
}
