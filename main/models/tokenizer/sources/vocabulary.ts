/** Vocabulary and merges of a tokenizer file, checked entry by entry: this is where most of a file's bytes are. */
import { quoted } from '../../formats/malformed'
import { malformedField } from './complaints'

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The highest id that a file with so many entries may name: holes are allowed, tables far beyond the file are not. */
export const highestId = (entries: number): number => 4 * entries + 1024

/** `{piece: id}` → Map; @throws `file.malformed` for wrong types, ids outside, two pieces with one id */
export function readVocab(value: unknown, field: string): Map<string, number> {
  if (!isObject(value)) throw malformedField(field, 'should be an object of pieces and their ids')
  const entries = Object.entries(value)
  if (entries.length === 0) throw malformedField(field, 'holds no token')
  const limit = highestId(entries.length)
  const seen = new Uint8Array(limit + 1)
  const vocab = new Map<string, number>()
  for (const [piece, id] of entries) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > limit)
      throw malformedField(
        field,
        `gives ${quoted(piece)} the id ${shownId(id)}, which is outside 0 to ${limit}`,
      )
    if (seen[id] === 1)
      throw malformedField(field, `gives the id ${id} twice, the second time to ${quoted(piece)}`)
    seen[id] = 1
    vocab.set(piece, id)
  }
  return vocab
}

const shownId = (id: unknown): string =>
  typeof id === 'number' ? String(id) : quoted(typeof id === 'string' ? id : typeof id)

type Pair = readonly [string, string]

/** A merge as `"left right"` or `["left", "right"]`; null where it is neither. */
function pairOf(merge: unknown): Pair | null {
  if (typeof merge === 'string') {
    const space = merge.indexOf(' ', 1)
    return space < 0 ? null : [merge.slice(0, space), merge.slice(space + 1)]
  }
  if (!Array.isArray(merge) || merge.length !== 2) return null
  const [left, right] = merge as unknown[]
  return typeof left === 'string' && typeof right === 'string' ? [left, right] : null
}

/**
 * Merges → ids [left, right, merged] by rank.
 * @param continuingPrefix left out of the right part when the two are joined
 * @throws `file.malformed` for a merge of another form, or one that names a token the vocabulary has not
 */
export function readMerges(
  value: unknown,
  vocab: ReadonlyMap<string, number>,
  continuingPrefix: string,
  field: string,
): Int32Array {
  if (!Array.isArray(value)) throw malformedField(field, 'should be a list of merges')
  const merges = new Int32Array(3 * value.length)
  const idOf = (piece: string, rank: number): number => {
    const id = vocab.get(piece)
    if (id === undefined)
      throw malformedField(field, `number ${rank} names ${quoted(piece)}, which is not in the vocabulary`)
    return id
  }
  value.forEach((merge: unknown, rank) => {
    const pair = pairOf(merge)
    if (pair === null) throw malformedField(field, `number ${rank} is not a pair of pieces`)
    const [left, right] = pair
    const tail = right.startsWith(continuingPrefix) ? right.slice(continuingPrefix.length) : right
    merges[3 * rank] = idOf(left, rank)
    merges[3 * rank + 1] = idOf(right, rank)
    merges[3 * rank + 2] = idOf(left + tail, rank)
  })
  return merges
}

/** Every id below `size` and an integer, or @throws */
export function checkIds(ids: readonly number[], limit: number, field: string): void {
  for (const id of ids)
    if (!Number.isInteger(id) || id < 0 || id > limit)
      throw malformedField(field, `names the id ${id}, which is outside 0 to ${limit}`)
}
