/** The entries of rows in the activation store: which there have to be, and what a batch's captures make of them. */
import type { ExtractPositions } from '../../preload/extraction'
import type { Tensor } from '../../preload/tensor'
import { encodeItem, type EncodedItem, type EntryId } from '../cache/store/store'
import { entryOutput } from '../collections/names'
import { selectPositions, type TokenPattern } from '../collections/positions'
import type { StoredRow } from '../collections/schema'
import { LARGE, type HalfCast } from '../runtime/half-cast'
import type { PlannedGroup, PlannedHook, PlannedOutput } from './plan'
import type { TodoRow } from './row'
import { selectRow } from './select'
import { plainRequest, type ExtractionModel } from './subject'

/** Looks up the pattern of a rule. */
export type Patterns = ReadonlyMap<string, TokenPattern>

/** The positions that groups keep of rows, each found once: all hook points of an output ask for the same. */
export class Positions {
  readonly #known = new Map<StoredRow, Map<ExtractPositions, readonly number[]>>()

  constructor(private readonly patterns: Patterns) {}

  /**
   * None where the group's pattern matches no token.
   * @throws PatchbayError `input.invalid` where the row has no such position
   */
  of({ positions }: PlannedGroup, row: StoredRow): readonly number[] {
    const known = this.#known.get(row) ?? new Map<ExtractPositions, readonly number[]>()
    this.#known.set(row, known)
    const found = known.get(positions) ?? this.#find(positions, row)
    known.set(positions, found)
    return found
  }

  #find(rule: ExtractPositions, row: StoredRow): number[] {
    const pattern = rule.kind === 'matching' ? this.patterns.get(rule.pattern) : undefined
    return selectPositions(rule, row, (token) => pattern?.matches(token) === true)
  }
}

function entryAt(output: PlannedOutput, row: StoredRow, positions: readonly number[]): EntryId {
  const { hook, reduction, content, part, stored } = output
  return {
    row: row.key,
    output: entryOutput(hook, positions, row.tokens.length, reduction, { content, part }),
    dtype: stored,
  }
}

/** The entries that a hook point has of a row. */
export function entriesAt(hook: PlannedHook, row: StoredRow, positions: Positions): EntryId[] {
  return hook.groups.flatMap((group) => {
    const chosen = positions.of(group, row)
    return chosen.length === 0 ? [] : group.outputs.map((output) => entryAt(output, row, chosen))
  })
}

/** Where encoded values go. */
export interface Taker {
  /** Memory for an encoded value that is added next. */
  readonly take: (bytes: number) => Uint8Array
  add(items: readonly EncodedItem[]): Promise<void>
}

/** What is noticed while a batch is encoded. */
export interface BatchNotes {
  /** Told of a value that is not a number, before it is handed on. */
  readonly onNotNumber: (row: StoredRow, output: string) => void
  /** Memory of captures that is stored as it is: it must stay. */
  readonly kept: Set<ArrayBufferLike>
}

export const noNotes = (onNotNumber: BatchNotes['onNotNumber']): BatchNotes => ({
  onNotNumber,
  kept: new Set(),
})

/** A batch whose captures are encoded. */
export interface Encoding {
  readonly facts: ExtractionModel['facts']
  readonly batch: readonly TodoRow[]
  /** Of this batch alone: what it knows would grow with the data set. */
  readonly positions: Positions
  /** Rounds large captures to float16; null where nothing does it better than a loop. */
  readonly cast: HalfCast | null
  readonly to: Taker
  readonly notes: BatchNotes
}

/** One output's values of one row. */
interface RowValue extends Tensor {
  readonly row: StoredRow
  readonly tokens: readonly number[]
  readonly positions: readonly number[]
  readonly output: PlannedOutput
}

/**
 * What a batch gives at one hook point: selected, reduced, encoded and handed on row by row, without padding.
 * @param capture [batch, …]
 * @throws PatchbayError what handing on throws
 */
export async function encodeHook(encoding: Encoding, hook: PlannedHook, capture: Tensor): Promise<void> {
  const { facts, to, notes } = encoding
  for (const group of hook.groups) {
    const values = await valuesOf(encoding, hook, group, capture)
    const halvesOf = await castOnce(encoding, capture, values)
    const items = values.map(({ row, tokens, positions, output, shape, data }) => {
      const entry = entryAt(output, row, positions)
      const aid = { take: to.take, halves: halvesOf(output, data) }
      const item = encodeItem({ ...entry, request: plainRequest(facts, tokens), shape, data }, aid)
      if (item.entry.storage === 'F32') notes.kept.add(data.buffer)
      if (item.nan) notes.onNotNumber(row, output.name)
      return item
    })
    await to.add(items)
  }
}

async function valuesOf(
  { batch, positions }: Encoding,
  hook: PlannedHook,
  group: PlannedGroup,
  capture: Tensor,
): Promise<RowValue[]> {
  const values: RowValue[] = []
  for (const [index, { rows, tokens, missing }] of batch.entries()) {
    if (!missing.has(hook.name)) continue
    const done = new Set<string>()
    for (const row of rows) {
      const chosen = positions.of(group, row)
      if (chosen.length === 0) continue
      // Rows with equal tokens have equal values wherever their positions are.
      if (rows.length > 1 && done.size === done.add(chosen.join()).size) continue
      const value = selectRow(capture, hook.dims, { row: index, length: tokens.length, positions: chosen })
      for (const [i, part] of (await group.reducer.reduce(value)).entries())
        values.push({ row, tokens, positions: chosen, output: group.outputs[i], ...part })
    }
  }
  return values
}

/** Looks up the float16 of values that lie in the capture, where it was worth rounding all of it at once. */
async function castOnce(
  { cast, to }: Encoding,
  { data: all }: Tensor,
  values: readonly RowValue[],
): Promise<(output: PlannedOutput, data: Float32Array) => Uint16Array | undefined> {
  const within = ({ stored }: PlannedOutput, { buffer }: Float32Array): boolean =>
    stored === 'float16' && buffer === all.buffer
  const wanted = values.reduce((sum, { output, data }) => sum + (within(output, data) ? data.length : 0), 0)
  if (cast === null || wanted < LARGE || 2 * wanted < all.length) return () => undefined
  const { buffer, byteOffset } = to.take(2 * all.length)
  const halves = new Uint16Array(buffer, byteOffset, all.length)
  await cast.run(all, halves)
  return (output, data) => {
    if (!within(output, data)) return undefined
    const start = (data.byteOffset - all.byteOffset) / 4
    return halves.subarray(start, start + data.length)
  }
}
