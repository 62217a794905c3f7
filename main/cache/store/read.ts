/**
 * Reads values out of a shard by position. Whole chunks are read, checked, and only then taken from: what fails its
 * checksum, and what a truncated file no longer has, is an error and never a number.
 */
import { malformed } from '../../models/formats/malformed'
import type { PositionalFile } from '../../models/formats/positional-file'
import { CHUNK, chunksIn, firstDamaged } from './checksum'
import { storageBytes, type EntryError, type Located } from './entry'
import { decode } from './encoding'
import { rangesOf, runsOf, shapeOf, type Run, type Slice } from './slice'

export interface StoredValues {
  /** Sizes of the slice. */
  shape: readonly number[]
  data: Float32Array
  error: EntryError
}

/** Chunks between two runs that are rather read along than skipped by another read. */
const GAP_CHUNKS = 4

/**
 * A slice of an entry as float32.
 * @throws PatchbayError `input.invalid` for a slice outside of the tensor; `file.malformed` for damage,
 * `file.unreadable` for what the disk does not give
 */
export async function readSlice(
  file: PositionalFile,
  located: Located,
  slice: Slice = [],
): Promise<StoredValues> {
  const { shape, storage, scale, offset, checks, error } = located
  const ranges = rangesOf(slice, shape)
  const elementBytes = storageBytes[storage]
  const total = shape.reduce((product, n) => product * n, elementBytes)
  const values = { offset, checks, total }
  const bytes = await readRuns(file, values, runsOf(ranges, shape, elementBytes))
  const vectors = shape.slice(0, -1)
  const scales =
    scale === null
      ? null
      : await readRuns(
          file,
          { ...scale, total: vectors.reduce((product, n) => product * n, 4) },
          runsOf(ranges.slice(0, -1), vectors, 4),
        )
  const taken = shapeOf(ranges)
  const count = taken.reduce((product, n) => product * n, 1)
  return { shape: taken, data: decode(storage, bytes, scales, count, taken[taken.length - 1]), error }
}

/** A tensor's bytes in a file: where they begin, where their checksums begin, and how many there are. */
export interface Place {
  offset: number
  checks: number
  total: number
}

/** The bytes of ascending runs of one tensor, one behind the other; every chunk that they touch is checked. */
export async function readRuns(
  file: PositionalFile,
  place: Place,
  runs: readonly Run[],
): Promise<Uint8Array> {
  const out = new Uint8Array(runs.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (let i = 0; i < runs.length;) {
    const first = Math.floor(runs[i].start / CHUNK)
    let last = lastChunk(runs[i])
    let stop = i + 1
    while (stop < runs.length && Math.floor(runs[stop].start / CHUNK) <= last + GAP_CHUNKS)
      last = Math.max(last, lastChunk(runs[stop++]))
    const bytes = await readChunks(file, place, first, last + 1)
    for (; i < stop; i++) {
      const from = runs[i].start - first * CHUNK
      out.set(bytes.subarray(from, from + runs[i].length), at)
      at += runs[i].length
    }
  }
  return out
}

const lastChunk = ({ start, length }: Run): number => Math.floor((start + Math.max(1, length) - 1) / CHUNK)

/** All checksums of a tensor. */
export const readChecks = (file: PositionalFile, { checks, total }: Place): Promise<Uint32Array> =>
  readUint32(file, checks, chunksIn(total))

async function readUint32(file: PositionalFile, offset: number, count: number): Promise<Uint32Array> {
  return new Uint32Array((await file.read(offset, 4 * count)).buffer)
}

async function readChunks(
  file: PositionalFile,
  place: Place,
  first: number,
  stop: number,
): Promise<Uint8Array> {
  const start = place.offset + first * CHUNK
  const length = Math.min(place.total, stop * CHUNK) - first * CHUNK
  const [bytes, expected] = await Promise.all([
    file.read(start, length),
    readUint32(file, place.checks + 4 * first, stop - first),
  ])
  const damaged = firstDamaged(bytes, expected)
  if (damaged !== -1)
    throw malformed(file.path, 'stored values are not what their checksum says', {
      field: 'values',
      offset: start + damaged * CHUNK,
      next: 'The entry was set aside and will be computed again; check the disk.',
    })
  return bytes
}
