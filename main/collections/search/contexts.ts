/** The tokens around positions: which read the same, in how many rows they are, and what is shown of them. */
import type { Context } from '../../../preload/collections'
import type { TokenInfo } from '../../../preload/prompt'
import { throwIfCancelled } from '../../files/durable-file'
import type { OpenCollection } from '../collection'
import type { StoredRow } from '../schema'
import { storedRows } from '../stream'
import { positionAxis } from '../vectors'
import type { Pick } from './pick'
import type { Scores } from './scores'

/** Tokens before and behind a position. */
export type Window = readonly [number, number]

export type Places = (row: StoredRow) => number[]

/** The position of each score of a row: those that are kept, or the last of those that were reduced to one. */
export function placesOf(collection: OpenCollection, output: string): Places {
  const reduced = positionAxis(collection.output(output)) < 0
  return (row) => {
    const positions = collection.positionsOf(row, output)
    return reduced ? positions.slice(-1) : positions
  }
}

/** [start, end) of what is shown around a position. */
const around = (length: number, position: number, [before, behind]: Window): [number, number] => [
  Math.max(0, position - before),
  Math.min(length, position + behind + 1),
]

/** What is read around a position, as a text that is equal for what reads the same. */
export function contextText(tokens: readonly number[], position: number, window: Window): string {
  const [start, end] = around(tokens.length, position, window)
  return `${position - start}:${tokens.slice(start, end).join(' ')}`
}

export const shownToken = (token: TokenInfo | undefined, id: number): Context['tokens'][0] => ({
  id,
  text: token?.text ?? '',
  special: token?.special ?? false,
})

/** Contexts of positions, each text once; `inRows` is 1 until it is counted. */
export async function contextsOf(
  collection: OpenCollection,
  places: Places,
  window: Window,
  scores: Scores,
  picks: readonly Pick[],
): Promise<Context[]> {
  const contexts = new Map<string, Context>()
  for (const { index, at, value } of picks) {
    const row = scores.rows[index]
    const stored = await collection.row(row)
    const positions = places(stored)
    const position = positions[at]
    const text = contextText(stored.tokens, position, window)
    if (contexts.has(text)) continue
    const [start, end] = around(stored.tokens.length, position, window)
    const values = new Float32Array(end - start).fill(NaN)
    const own = scores.of(index)
    positions.forEach((place, i) => {
      if (place >= start && place < end) values[place - start] = own[i]
    })
    contexts.set(text, {
      row,
      inRows: 1,
      position,
      value,
      label: stored.label,
      start,
      tokens: stored.tokens.slice(start, end).map((id) => shownToken(collection.tokens.get(id), id)),
      values,
    })
  }
  return [...contexts.values()]
}

/**
 * Counts in how many rows each context is. Only tokens are read, and compared only where the middle one is the same.
 * @throws PatchbayError `run.cancelled`
 */
export async function countRows(
  collection: OpenCollection,
  places: Places,
  window: Window,
  rows: Int32Array,
  contexts: readonly Context[],
  signal?: AbortSignal,
): Promise<void> {
  const byMiddle = new Map<number, Context[]>()
  for (const context of contexts) {
    context.inRows = 0
    const { id } = context.tokens[context.position - context.start]
    byMiddle.set(id, [...(byMiddle.get(id) ?? []), context])
  }
  for await (const { stored } of storedRows(collection, rows)) {
    throwIfCancelled(signal, 'the collection')
    const found = new Set<Context>()
    for (const place of places(stored))
      for (const context of byMiddle.get(stored.tokens[place]) ?? [])
        if (!found.has(context) && reads(stored.tokens, place, window, context)) found.add(context)
    for (const context of found) context.inRows++
  }
}

function reads(tokens: readonly number[], place: number, window: Window, context: Context): boolean {
  const [start, end] = around(tokens.length, place, window)
  return (
    place - start === context.position - context.start &&
    end - start === context.tokens.length &&
    context.tokens.every(({ id }, i) => id === tokens[start + i])
  )
}
