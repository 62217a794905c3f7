/** How large the store may be, what goes when it is full, and how large something will be. */
import { PatchbayError } from '../../../preload/errors'
import { CHUNK } from './checksum'
import { entryName, type Dtype } from './entry'
import { shardBytes } from './shard'

export interface ShardUse {
  id: string
  bytes: number
  /** When it was used last, in ms. */
  used: number
  pinned: boolean
}

/**
 * Which shards to remove so that `needed` more bytes fit under `quota`: those used longest ago, never pinned ones.
 * @throws PatchbayError `disk.full` where what is pinned leaves too little
 */
export function shardsToEvict(shards: readonly ShardUse[], needed: number, quota: number): string[] {
  let total = shards.reduce((sum, { bytes }) => sum + bytes, needed)
  const evicted: string[] = []
  const oldestFirst = shards.filter(({ pinned }) => !pinned).sort((a, b) => a.used - b.used)
  for (const { id, bytes } of oldestFirst) {
    if (total <= quota) break
    evicted.push(id)
    total -= bytes
  }
  if (total <= quota) return evicted
  throw new PatchbayError(
    'disk.full',
    `The activation store may take ${gigabytes(quota)} GB, of which ${gigabytes(total - needed)} GB are pinned: there is no room for ${gigabytes(needed)} GB more.`,
    { next: 'Unpin or remove something, or allow the store more (patchbay cache gc --quota).' },
  )
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(bytes < 1e8 ? 4 : 2)

/** A tensor that is to be stored for each row. */
export interface PlannedOutput {
  output: string
  /** Of one row's value. */
  shapeOf: (tokens: number) => readonly number[]
}

/** Elements × bytes of each dtype, and 4 bytes for each vector's scale of int8. */
const valueBytes: Readonly<Record<Dtype, number>> = { float32: 4, float16: 2, bfloat16: 2, int8: 1 }

/**
 * Bytes that storing these outputs of rows of these lengths will take: values, checksums, headers. An upper bound but for
 * entries that a lossy dtype can not hold.
 */
export function forecastBytes(
  lengths: readonly number[],
  outputs: readonly PlannedOutput[],
  dtype: Dtype,
): number {
  const row = '0'.repeat(64)
  let total = 0
  for (const tokens of lengths) {
    const entries = outputs.map(({ output, shapeOf }) => {
      const shape = shapeOf(tokens)
      const elements = shape.reduce((product, n) => product * n, 1)
      return {
        name: entryName({ row, output, dtype }),
        bytes: elements * valueBytes[dtype],
        scaleBytes: dtype === 'int8' ? (elements / shape[shape.length - 1]) * 4 : 0,
      }
    })
    // Token ids with their commas, and the rest of a row's request.
    total += shardBytes(entries, 600 + 8 * tokens)
  }
  return Math.ceil(total / CHUNK) * CHUNK
}
