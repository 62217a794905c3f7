/** A shard that is there: its header and tables read and checked against their seal, and from them where each entry lies. */
import { PatchbayError } from '../../../preload/errors'
import { malformed, quoted } from '../../models/formats/malformed'
import { PositionalFile } from '../../models/formats/positional-file'
import {
  headerLength,
  parseHeader,
  prefixBytes,
  type HeaderTensor,
} from '../../models/formats/safetensors/header'
import { rowKey, rowRequest, type RowRequest } from '../row-request'
import { chunksIn, crc32 } from './checksum'
import {
  entryStorages,
  MAX_BYTES,
  MAX_RANK,
  parseEntryName,
  scaleName,
  type EntryId,
  type Located,
} from './entry'
import { formatOf, ROW_PREFIX, sealOf, SHARD_VERSION, tableNames } from './shard'

export interface ShardContent {
  id: string
  set: string
  created: string
  producer: string
  /** Bytes of the file. */
  bytes: number
  /** By name, in file order. */
  entries: ReadonlyMap<string, { id: EntryId; located: Located }>
  /** The JSON of each row's request, by row key; see `rowsOf`. */
  rows: ReadonlyMap<string, string>
}

/** A shard of a later format: neither damaged nor ours to change. */
export const isNewer = (error: unknown): boolean =>
  error instanceof PatchbayError && error.field === NEWER_FIELD

const NEWER_FIELD = 'format version'

/** @throws PatchbayError that says what is of a later version, with `isNewer` */
export const newerVersion = (file: string, what: string, version: string | number): PatchbayError =>
  new PatchbayError('input.invalid', `${what} has version ${version}, which this Patchbay does not know.`, {
    file,
    field: NEWER_FIELD,
    next: 'Use it with a newer Patchbay; it was left as it is.',
  })

/**
 * Reads header and tables of a shard, without the values.
 * @throws PatchbayError `file.malformed` naming file and field, `file.missing`, `file.unreadable`; see `isNewer`
 */
export async function readShard(file: string, id: string): Promise<ShardContent> {
  const source = await PositionalFile.open(file)
  try {
    return await contentOf(source, id)
  } finally {
    await source.close()
  }
}

export async function contentOf(source: PositionalFile, id: string): Promise<ShardContent> {
  const file = source.path
  const prefix = await source.read(0, Math.min(prefixBytes, source.size))
  const header = await source.read(0, prefixBytes + headerLength(prefix, source.size, file))
  const { tensors, metadata } = parseHeader(header.subarray(prefixBytes), source.size, file)
  checkVersion(file, metadata)

  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  const data = tensors.filter(({ name }) => !isTable(name))
  const entries = data.filter(({ name }) => !name.endsWith('#scale'))
  const chunks = data.reduce((sum, { byteLength }) => sum + chunksIn(byteLength), 0)
  const table = async (name: string, storage: string, length: number): Promise<Uint8Array<ArrayBuffer>> => {
    const found = byName.get(name)
    if (found?.storage !== storage || found.byteLength !== 4 * length)
      throw malformed(file, `has no table ${name} of ${length} ${storage}`, { field: name })
    return source.read(found.offset, found.byteLength)
  }
  const checks = await table(tableNames.crc32, 'U32', chunks)
  const errors = await table(tableNames.error, 'F32', 2 * entries.length)
  const seal = new Uint32Array((await table(tableNames.seal, 'U32', 2)).buffer)
  if (seal[0] !== crc32(header))
    throw malformed(file, 'the header is not what its checksum says', { field: 'header' })
  if (seal[1] !== sealOf(checks, errors, seal[0]))
    throw malformed(file, 'the tables are not what their checksum says', { field: tableNames.seal })

  const text = (key: string): string => metadata.get(key) ?? ''
  return {
    id,
    set: text('set'),
    created: text('created'),
    producer: text('producer'),
    bytes: source.size,
    entries: locate(file, id, data, byName, new Float32Array(errors.buffer)),
    rows: new Map(
      [...metadata].flatMap(([key, json]) =>
        key.startsWith(ROW_PREFIX) ? [[key.slice(ROW_PREFIX.length), json]] : [],
      ),
    ),
  }
}

function checkVersion(file: string, metadata: ReadonlyMap<string, string>): void {
  const version = metadata.get('version') ?? ''
  const known = /^[1-9]\d{0,5}$/.test(version) && metadata.get('format') === formatOf(Number(version))
  if (!known) throw malformed(file, 'is no file of activations', { field: 'format' })
  if (Number(version) > SHARD_VERSION) throw newerVersion(file, 'This file of activations', version)
}

const isTable = (name: string): boolean => Object.values<string>(tableNames).includes(name)

function locate(
  file: string,
  id: string,
  data: readonly HeaderTensor[],
  byName: ReadonlyMap<string, HeaderTensor>,
  errors: Float32Array,
): ShardContent['entries'] {
  const tableAt = byName.get(tableNames.crc32)?.offset ?? 0
  const firstCheck = new Map<string, number>()
  let check = 0
  for (const { name, byteLength } of data) {
    firstCheck.set(name, tableAt + 4 * check)
    check += chunksIn(byteLength)
  }
  const entries = new Map<string, { id: EntryId; located: Located }>()
  let scales = 0
  for (const { name, storage, shape, offset, byteLength } of data) {
    if (name.endsWith('#scale')) continue
    const entry = parseEntryName(name)
    const kept = entryStorages.find((each) => each === storage)
    if (byteLength > MAX_BYTES)
      throw malformed(file, `tensor ${quoted(name)} is larger than 2 GB`, { field: name, offset })
    if (
      entry === null ||
      kept === undefined ||
      shape.length < 1 ||
      shape.length > MAX_RANK ||
      shape.includes(0)
    )
      throw malformed(file, `tensor ${quoted(name)} is no entry`, { field: name, offset })
    const scale = kept === 'I8' ? scaleOf(file, name, shape, byName) : null
    if (scale !== null) scales++
    const row = entries.size
    entries.set(name, {
      id: entry,
      located: {
        shard: id,
        storage: kept,
        shape,
        offset,
        checks: firstCheck.get(name) ?? 0,
        scale: scale === null ? null : { offset: scale.offset, checks: firstCheck.get(scale.name) ?? 0 },
        error: { max: errors[2 * row], relative: errors[2 * row + 1] },
      },
    })
  }
  if (entries.size + scales !== data.length)
    throw malformed(file, 'has scales of no entry', { field: 'scale' })
  return entries
}

function scaleOf(
  file: string,
  name: string,
  shape: readonly number[],
  byName: ReadonlyMap<string, HeaderTensor>,
): HeaderTensor {
  const scale = byName.get(scaleName(name))
  if (scale?.storage === 'F32' && scale.shape.join() === shape.slice(0, -1).join()) return scale
  throw malformed(file, `tensor ${quoted(name)} has no scales`, { field: name })
}

/**
 * The requests of a shard's rows, each checked to be what its key is the hash of.
 * @throws PatchbayError `file.malformed` naming the row
 */
export function rowsOf({ rows, entries }: ShardContent, file: string): Map<string, RowRequest> {
  const parsed = new Map<string, RowRequest>()
  for (const [key, json] of rows) parsed.set(key, parseRow(key, json, file))
  for (const { id } of entries.values())
    if (!parsed.has(id.row))
      throw malformed(file, `says nothing of row ${id.row}`, { field: ROW_PREFIX + id.row })
  return parsed
}

function parseRow(key: string, json: string, file: string): RowRequest {
  const field = ROW_PREFIX + quoted(key)
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw malformed(file, `the request of row ${quoted(key)} is not JSON`, { field, cause })
  }
  const parsed = rowRequest.safeParse(value)
  if (!parsed.success || rowKey(parsed.data) !== key)
    throw malformed(file, `row ${quoted(key)} is not what its key says`, { field })
  return parsed.data
}
