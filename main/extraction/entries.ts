/** The entries of rows in the activation store: which there have to be, and what a batch's captures make of them. */
import type { Tensor } from '../../preload/tensor'
import { encodeItem, type EncodedItem, type EntryId } from '../cache/store/store'
import { entryOutput } from '../collections/names'
import { selectPositions, type TokenPattern } from '../collections/positions'
import type { StoredRow } from '../collections/schema'
import type { PlannedGroup, PlannedHook, PlannedOutput } from './plan'
import type { TodoRow } from './row'
import { selectRow } from './select'
import { plainRequest, type ExtractionModel } from './subject'

/** Looks up the pattern of a rule. */
export type Patterns = ReadonlyMap<string, TokenPattern>

/** The positions that a group keeps of a row; none where its pattern matches no token. */
export function positionsAt({ positions }: PlannedGroup, row: StoredRow, patterns: Patterns): number[] {
  const pattern = positions.kind === 'matching' ? patterns.get(positions.pattern) : undefined
  return selectPositions(positions, row, (token) => pattern?.matches(token) === true)
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
export function entriesAt(hook: PlannedHook, row: StoredRow, patterns: Patterns): EntryId[] {
  return hook.groups.flatMap((group) => {
    const positions = positionsAt(group, row, patterns)
    return positions.length === 0 ? [] : group.outputs.map((output) => entryAt(output, row, positions))
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
  /** Rows with values that are not a number, and the output where that shows first. */
  readonly notNumbers: Map<StoredRow, string>
  /** Memory of captures that is stored as it is: it must stay. */
  readonly kept: Set<ArrayBufferLike>
}

export const noNotes = (): BatchNotes => ({ notNumbers: new Map(), kept: new Set() })

/** A batch whose captures are encoded. */
export interface Encoding {
  readonly facts: ExtractionModel['facts']
  readonly batch: readonly TodoRow[]
  readonly patterns: Patterns
  readonly to: Taker
  readonly notes: BatchNotes
}

/**
 * What a batch gives at one hook point: selected, reduced, encoded and handed on row by row, without padding.
 * @param capture [batch, …]
 * @throws PatchbayError what handing on throws
 */
export async function encodeHook(
  { facts, batch, patterns, to, notes }: Encoding,
  hook: PlannedHook,
  capture: Tensor,
): Promise<void> {
  for (const group of hook.groups) {
    const items: EncodedItem[] = []
    for (const [index, { rows, tokens, missing }] of batch.entries()) {
      if (!missing.has(hook.name)) continue
      const request = plainRequest(facts, tokens)
      const done = new Set<string>()
      for (const row of rows) {
        const positions = positionsAt(group, row, patterns)
        // Rows with equal tokens have equal values wherever their positions are.
        if (positions.length === 0 || done.size === done.add(positions.join()).size) continue
        const value = selectRow(capture, hook.dims, { row: index, length: tokens.length, positions })
        const parts = await group.reducer.reduce(value)
        for (const [i, { shape, data }] of parts.entries()) {
          const output = group.outputs[i]
          const entry = entryAt(output, row, positions)
          const item = encodeItem({ ...entry, request, shape, data }, to.take)
          items.push(item)
          if (item.entry.storage === 'F32') notes.kept.add(data.buffer)
          if (item.nan && !notes.notNumbers.has(row)) notes.notNumbers.set(row, output.name)
        }
      }
    }
    await to.add(items)
  }
}
