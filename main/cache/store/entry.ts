/**
 * What an entry is: the value of one output (a hook point, logits, the residual stream where a run stopped) for one row,
 * [pos, …] without the batch axis, in one dtype. Its name in a shard says so in words; its key in the index is a hash.
 */
import { createHash } from 'node:crypto'
import { PatchbayError } from '../../../preload/errors'

export const dtypes = ['float32', 'float16', 'bfloat16', 'int8'] as const
/** How values were asked to be kept. int8 has one float32 scale for each vector along the last axis. */
export type Dtype = (typeof dtypes)[number]

export interface EntryId {
  /** Key of the row's request, sha256 in hex (see row-request.ts). */
  row: string
  /** A canonical hook name, `logits:last`, `logits:all` or `residual:{layer}`. */
  output: string
  dtype: Dtype
}

/** Bytes of an entry's key. */
export const KEY_BYTES = 16

/** The entry's tensor in a shard: `{row}/{output}@{dtype}`. */
export const entryName = ({ row, output, dtype }: EntryId): string => `${row}/${output}@${dtype}`

/** The scales of an int8 entry, float32, of the entry's shape without the last axis. */
export const scaleName = (name: string): string => `${name}#scale`

const namePattern = /^([0-9a-f]{64})\/([^\p{Cc}\p{Cs}]{1,1000})@(float32|float16|bfloat16|int8)$/u

/** An entry's name read back; null for anything else. */
export function parseEntryName(name: string): EntryId | null {
  const match = namePattern.exec(name)
  const dtype = dtypes.find((each) => each === match?.[3])
  return match === null || dtype === undefined ? null : { row: match[1], output: match[2], dtype }
}

/** Where the entry stands in the index: the first 128 bits of the sha256 of its name, in hex. */
export const entryKey = (name: string): string =>
  createHash('sha256')
    .update(name)
    .digest('hex')
    .slice(0, 2 * KEY_BYTES)

/** @throws PatchbayError `input.invalid` for an entry that could not be read back under its name */
export function checkEntry(id: EntryId, shape: readonly number[], length: number): void {
  const size = shape.reduce((product, n) => product * n, 1)
  const whole = shape.every((n) => Number.isInteger(n) && n > 0 && n < 2 ** 32)
  const problem =
    parseEntryName(entryName(id)) === null
      ? 'has a name that can not be stored'
      : shape.length < 1 || shape.length > MAX_RANK
        ? `has ${shape.length} axes, where 1 to ${MAX_RANK} can be stored`
        : !whole || size !== length
          ? `of shape [${shape.join(', ')}] can not hold ${length} values`
          : 4 * size > MAX_BYTES
            ? `of shape [${shape.join(', ')}] is larger than 2 GB`
            : null
  if (problem !== null)
    throw new PatchbayError('input.invalid', `The activation ${JSON.stringify(id.output)} ${problem}.`, {
      field: id.output,
      next: 'This is a defect in what stores it; please report it.',
    })
}

/** Bytes of an entry at most: it is held in memory while it is written or moved. */
export const MAX_BYTES = 2 ** 31 - 1

/** Axes of an entry at most: without the batch no hook point has more. */
export const MAX_RANK = 4

/** Where an entry's bytes and checksums lie. */
export interface Located {
  shard: string
  storage: EntryStorage
  shape: readonly number[]
  /** Bytes from the start of the file: the values, and the first of their checksums. */
  offset: number
  checks: number
  /** The same of an int8 entry's scales; null for others. */
  scale: { offset: number; checks: number } | null
  error: EntryError
}

/** How values lie in the file. Where a lossy dtype can not hold a value, the whole entry lies as F32. */
export const entryStorages = ['F32', 'F16', 'BF16', 'I8'] as const
export type EntryStorage = (typeof entryStorages)[number]

export const storageBytes: Readonly<Record<EntryStorage, number>> = { F32: 4, F16: 2, BF16: 2, I8: 1 }

/** What storing changed at most: a bound of |stored − given|, and that divided by max |given|. Both 0 for what is exact. */
export interface EntryError {
  max: number
  relative: number
}
