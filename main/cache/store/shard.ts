/**
 * A shard: one immutable safetensors file of entries, readable by any safetensors library as it is. Besides the entries
 * it holds `patchbay.crc32` (a checksum for each 8 KiB of each tensor, in file order), `patchbay.error` (float32
 * [entries, 2]: max and relative error, in file order) and `patchbay.seal` (checksums of the header and of these tables),
 * so that every bit of the file is covered, and the index can be built again from shards alone.
 */
import { PatchbayError } from '../../../preload/errors'
import type { DurableOptions } from '../../files/durable-file'
import { safetensorsHeader, writeSafetensors, type SafetensorsInput } from '../../models/formats/safetensors'
import { parseHeader, prefixBytes } from '../../models/formats/safetensors/header'
import { canonicalJson } from '../../../preload/canonical'
import type { RowRequest } from '../row-request'
import { asBytes, chunksIn, crc32 } from './checksum'
import { scaleName, type EntryError, type EntryStorage, type Located } from './entry'

const SHARD_FORMAT = 'patchbay.activations'
export const SHARD_VERSION = 1
/** The format's name carries the version too: a flipped bit in one of the two is no later version. */
export const formatOf = (version: number): string => `${SHARD_FORMAT}/${version}`
export const tableNames = { crc32: 'patchbay.crc32', error: 'patchbay.error', seal: 'patchbay.seal' } as const
export const ROW_PREFIX = 'row:'

/** Bytes with the checksums that they are to have: taken from where they were first computed, never made up again. */
export interface CheckedBytes {
  /** A function is called when the bytes are written, and its result is not kept. */
  bytes: Uint8Array | (() => Promise<Uint8Array>)
  checks: Uint32Array
}

export interface ShardEntry {
  name: string
  shape: readonly number[]
  storage: EntryStorage
  values: CheckedBytes
  /** Of int8. */
  scale: CheckedBytes | null
  error: EntryError
}

export interface ShardMeta {
  /** What was stored together, and is named, pinned and removed together: a job's, a view's. */
  set: string
  /** ISO 8601. */
  created: string
  /** Versions of what computed the values. */
  producer: string
  /** Requests of the rows that entries belong to, by row key. */
  rows: ReadonlyMap<string, RowRequest>
}

/** A data tensor of a shard as it is to be written. */
interface Part {
  input: SafetensorsInput
  checks: Uint32Array
}

/**
 * Writes a shard, whole or not at all, and says where each entry lies and how large the file is.
 * @param id what the locations name the shard
 * @throws PatchbayError `input.invalid` where names and metadata exceed the format's header; `disk.full`, `disk.failed`
 */
export async function writeShard(
  file: string,
  id: string,
  entries: readonly ShardEntry[],
  meta: ShardMeta,
  durable: DurableOptions = {},
): Promise<{ entries: Map<string, Located>; bytes: number }> {
  const parts = new Map(entries.flatMap(partsOf).map((part) => [part.input.name, part]))
  if (new Set(entries.map(({ name }) => name)).size < entries.length)
    throw new PatchbayError('internal', 'A file of activations would hold an entry twice.')
  const errors = new Map(entries.map(({ name, error }) => [name, error]))
  const chunks = [...parts.values()].reduce((sum, { checks }) => sum + checks.length, 0)
  const tables = { crc32: new Uint32Array(chunks), error: new Float32Array(2 * entries.length) }
  const seal = new Uint32Array(2)
  const inputs: SafetensorsInput[] = [
    { name: tableNames.crc32, shape: [chunks], data: tables.crc32 },
    { name: tableNames.error, shape: [entries.length, 2], data: tables.error },
    { name: tableNames.seal, shape: [2], data: seal },
    ...[...parts.values()].map(({ input }) => input),
  ]
  const metadata = metadataOf(meta)
  const header = safetensorsHeader(inputs, metadata)
  const placed = placesIn(header, inputs, id)

  const firstCheck = new Map<string, number>()
  let check = 0
  let row = 0
  for (const { name } of placed.tensors) {
    const part = parts.get(name)
    if (part === undefined) continue
    firstCheck.set(name, check)
    tables.crc32.set(part.checks, check)
    check += part.checks.length
    const error = errors.get(name)
    if (error !== undefined) tables.error.set([error.max, error.relative], 2 * row++)
  }
  seal[0] = crc32(header)
  seal[1] = sealOf(asBytes(tables.crc32), asBytes(tables.error), seal[0])
  await writeSafetensors(file, inputs, metadata, durable)

  const offsets = new Map(placed.tensors.map(({ name, offset }) => [name, offset]))
  const tableAt = offsets.get(tableNames.crc32) ?? 0
  const placeOf = (name: string) => ({
    offset: offsets.get(name) ?? 0,
    checks: tableAt + 4 * (firstCheck.get(name) ?? 0),
  })
  const located = entries.map(({ name, shape, storage, scale, error }): [string, Located] => [
    name,
    {
      shard: id,
      storage,
      shape,
      ...placeOf(name),
      scale: scale === null ? null : placeOf(scaleName(name)),
      error: { max: Math.fround(error.max), relative: Math.fround(error.relative) },
    },
  ])
  const bytes = placed.tensors.reduce((end, { offset, byteLength }) => Math.max(end, offset + byteLength), 0)
  return { entries: new Map(located), bytes }
}

/** The checksum that seals the tables, and the header's through `header`. */
export const sealOf = (checks: Uint8Array, errors: Uint8Array, header: number): number =>
  crc32(asBytes(Uint32Array.of(header)), crc32(errors, crc32(checks)))

/** Bytes that a shard of such entries takes, without writing it. */
export function shardBytes(
  entries: readonly { bytes: number; scaleBytes: number; name: string }[],
  rowBytes: number,
): number {
  const header = entries.reduce(
    (sum, { name, scaleBytes }) => sum + (name.length + 80) * (scaleBytes > 0 ? 2 : 1),
    0,
  )
  const data = entries.reduce(
    (sum, { bytes, scaleBytes }) =>
      sum + bytes + scaleBytes + 4 * (chunksIn(bytes) + chunksIn(scaleBytes)) + 8,
    0,
  )
  return 512 + header + rowBytes + data
}

function partsOf({ name, shape, storage, values, scale }: ShardEntry): Part[] {
  const value: Part = { input: { name, shape, storage, data: values.bytes }, checks: values.checks }
  if (scale === null) return [value]
  const input = {
    name: scaleName(name),
    shape: shape.slice(0, -1),
    storage: 'F32',
    data: scale.bytes,
  } as const
  return [value, { input, checks: scale.checks }]
}

const metadataOf = ({ set, created, producer, rows }: ShardMeta): Record<string, string> => ({
  format: formatOf(SHARD_VERSION),
  version: String(SHARD_VERSION),
  set,
  created,
  producer,
  ...Object.fromEntries([...rows].map(([key, row]) => [ROW_PREFIX + key, canonicalJson(row)])),
})

/** Where the tensors will lie, as a reader of the header finds them. */
function placesIn(header: Uint8Array, inputs: readonly SafetensorsInput[], label: string) {
  const bytes = { F32: 4, F16: 2, BF16: 2, I8: 1 }
  const data = inputs.reduce((sum, { storage, shape, data: given }) => {
    const size = storage !== undefined && storage in bytes ? bytes[storage as EntryStorage] : 4
    return typeof given !== 'function' ? sum + given.byteLength : sum + shape.reduce((n, d) => n * d, size)
  }, 0)
  return parseHeader(header.subarray(prefixBytes), header.length + data, label)
}
