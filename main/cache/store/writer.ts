/** Everything that changes the shards' folder. Only who holds the writer's lock calls it. */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import type { RowRequest } from '../row-request'
import { CHUNK, checksums } from './checksum'
import { encode, type Encoded, type EncodingAid } from './encoding'
import { checkEntry, entryKey, entryName, storageBytes, type EntryId, type Located } from './entry'
import type { StoreIndex } from './index'
import type { Quarantine } from './quarantine'
import { shardsToEvict, type ShardUse } from './quota'
import { readChecks, readRuns, type Place } from './read'
import { shardBytes, writeShard, type CheckedBytes, type ShardEntry, type ShardMeta } from './shard'
import { contentOf, readShard, rowsOf, type ShardContent } from './shard-file'
import type { ShardFiles } from './shard-files'
import { namesIn, type StoreFs } from './store-fs'
import type { PositionalFile } from '../../models/formats/positional-file'

/** About how much goes into one shard: large enough for few files, small enough to be held in memory and rewritten. */
export const SHARD_BYTES = 32 << 20

/** Entries of a shard at most: its header is read whole where the index does not know it. */
export const SHARD_ENTRIES = 8192

/** One value to store: of one row at one output, [pos, …] without the batch axis. */
export interface PutItem extends EntryId {
  request: RowRequest
  shape: readonly number[]
  data: Float32Array
}

/** The same, encoded: for who wants to be rid of the values before the disk is done. */
export interface EncodedItem extends EntryId {
  request: RowRequest
  entry: ShardEntry
  /** Whether any of the values is not a number. */
  nan: boolean
}

export type StoredItem = PutItem | EncodedItem

/**
 * @param aid where the values go, or what they are already: memory that must stay as it is until the item is stored
 * @throws PatchbayError `input.invalid` for a value that can not be stored under its name
 */
export function encodeItem(item: PutItem, aid?: EncodingAid): EncodedItem {
  const { row, output, dtype, request } = item
  checkEntry(item, item.shape, item.data.length)
  const encoded = encode(item.data, dtype, item.shape[item.shape.length - 1], aid)
  const nan = encoded.finite !== true && item.data.some(Number.isNaN)
  return { row, output, dtype, request, entry: entryOf(item, encoded), nan }
}

/** Bytes that wait in memory until an encoded item is written. */
export const encodedBytes = ({ entry }: EncodedItem): number => lengthOf(entry)

export interface WriterParts {
  files: ShardFiles
  index: StoreIndex
  quarantine: Quarantine
  fs: StoreFs
}

/** Entries that belong into the same shard. */
export interface Batch {
  entries: ShardEntry[]
  rows: Map<string, RowRequest>
}

export class Writer {
  /** Shards that are not evicted by what stores them: what it reports as stored has to be there. */
  private readonly held = new Set<string>()

  constructor(
    private readonly parts: WriterParts,
    private readonly quota: number,
    private readonly pinned: (set: string) => boolean,
    /** Now in ms, never before the time of anything that was used already. */
    private readonly now: () => Promise<number>,
  ) {}

  /** Removes partial files of writers that died: whoever holds the lock is the only one who writes. */
  async sweep(folders: readonly string[]): Promise<void> {
    for (const folder of folders)
      for (const name of await namesIn(this.parts.fs, folder))
        if (name.startsWith('.') && name.endsWith('.partial'))
          await this.parts.fs.rm(path.join(folder, name), { force: true })
  }

  /** Keeps a shard from being evicted while this writes. */
  hold(id: string): void {
    this.held.add(id)
  }

  /** Encodes and stores items that are not there yet, shard by shard. */
  async put(
    items: readonly StoredItem[],
    meta: Omit<ShardMeta, 'rows'>,
    signal?: AbortSignal,
  ): Promise<number> {
    const before = this.bytes
    for (const group of groups(items, bytesOf)) {
      const rows = new Map(group.map(({ row, request }) => [row, request]))
      const entries = group.map((item) => ('entry' in item ? item.entry : encodedEntry(item)))
      await this.write({ entries, rows }, meta, { signal })
    }
    return this.bytes - before
  }

  /** Writes one shard, making room for it first, unless it replaces others (it is then no larger than they are). @returns its id */
  async write(
    batch: Batch,
    meta: Omit<ShardMeta, 'rows'>,
    { signal, used }: { signal?: AbortSignal; used?: number } = {},
  ): Promise<string> {
    const { files, index, fs } = this.parts
    if (used === undefined) await this.makeRoom(sizeOfBatch(batch))
    const id = randomBytes(8).toString('hex')
    const file = files.pathOf(id)
    const written = await writeShard(file, id, batch.entries, { ...meta, rows: batch.rows }, { fs, signal })
    const time = used ?? (await this.now())
    // The file has the clock's time, which may be behind (see Usage) or, of a rewritten shard, too late.
    if (used !== undefined || time > Date.now()) await fs.utimes(file, time / 1000, time / 1000)
    index.add({ id, set: meta.set, entries: batch.entries.length, bytes: written.bytes }, written.entries)
    if (used === undefined) this.hold(id)
    return id
  }

  /** Removes shards that were used longest ago until `needed` bytes fit. @returns those removed */
  async makeRoom(needed: number): Promise<string[]> {
    const { index } = this.parts
    if (this.bytes + needed <= this.quota) return []
    const evicted = shardsToEvict(await this.uses(), needed, this.quota)
    for (const id of evicted) await this.remove(id)
    await index.refresh()
    return evicted
  }

  /** Removes a shard with all entries. Readers that are at it read on to the end. */
  async remove(id: string): Promise<void> {
    const { files, index, quarantine, fs } = this.parts
    await fs.rm(files.pathOf(id), { force: true })
    index.drop(id)
    files.forget(id)
    await quarantine.release(id)
  }

  /**
   * Replaces shards by new ones that hold only what `keep` holds of and what is undamaged. The new ones are there, and can be
   * read, before the old go. What a set has twice (a process died before the old went) it has once afterwards.
   * @returns entries that were damaged
   */
  async rewrite(ids: readonly string[], keep: (entry: EntryId) => boolean): Promise<number> {
    const { files, quarantine } = this.parts
    const batches = new Map<
      string,
      { batch: Batch; meta: Omit<ShardMeta, 'rows'>; used: number; bytes: number }
    >()
    let damaged = 0
    const taken = new Set<string>()
    const flush = async (key: string): Promise<void> => {
      const found = batches.get(key)
      batches.delete(key)
      if (found === undefined) return
      const id = await this.write(found.batch, found.meta, { used: found.used })
      await readShard(files.pathOf(id), id)
    }
    for (const id of ids) {
      const used = await this.usedAt(id)
      await files.use(id, async (file) => {
        const content = await contentOf(file, id)
        const rows = rowsOf(content, file.path)
        const { set, producer, created } = content
        const key = JSON.stringify([set, producer])
        for (const [name, entry] of content.entries) {
          if (!keep(entry.id) || quarantine.holds(id, entryKey(name)) || taken.has(`${set}/${name}`)) continue
          const loaded = await this.loadUndamaged(file, content, name)
          const row = rows.get(entry.id.row)
          if (loaded === null || row === undefined) {
            damaged++
            continue
          }
          const target = batches.get(key) ?? {
            batch: { entries: [], rows: new Map<string, RowRequest>() },
            meta: { set, producer, created },
            used,
            bytes: 0,
          }
          batches.set(key, target)
          taken.add(`${set}/${name}`)
          target.batch.entries.push(loaded)
          target.batch.rows.set(entry.id.row, row)
          target.used = Math.max(target.used, used)
          target.bytes += lengthOf(loaded)
          if (target.bytes >= SHARD_BYTES || target.batch.entries.length >= SHARD_ENTRIES) await flush(key)
        }
      })
    }
    for (const key of [...batches.keys()]) await flush(key)
    for (const id of ids) await this.remove(id)
    return damaged
  }

  /** When each shard was used last: the file's time, which readers set. */
  async uses(): Promise<ShardUse[]> {
    const uses: ShardUse[] = []
    for (const { id, set, bytes } of this.parts.index.shards())
      uses.push({ id, bytes, pinned: this.pinned(set) || this.held.has(id), used: await this.usedAt(id) })
    return uses
  }

  private get bytes(): number {
    return this.parts.index.shards().reduce((sum, { bytes }) => sum + bytes, 0)
  }

  private async usedAt(id: string): Promise<number> {
    return (await this.parts.fs.stat(this.parts.files.pathOf(id))).mtimeMs
  }

  private async loadUndamaged(
    file: PositionalFile,
    content: ShardContent,
    name: string,
  ): Promise<ShardEntry | null> {
    try {
      return await loadEntry(file, content, name)
    } catch (error) {
      if (!(error instanceof PatchbayError) || error.code !== 'file.malformed') throw error
      await this.parts.quarantine.add(content.id, entryKey(name), error.message)
      return null
    }
  }
}

const bytesOf = (item: StoredItem): number => ('entry' in item ? encodedBytes(item) : item.data.byteLength)

const encodedEntry = (item: PutItem): ShardEntry =>
  entryOf(item, encode(item.data, item.dtype, item.shape[item.shape.length - 1]))

function entryOf(item: PutItem, { storage, bytes, scale, error }: Encoded): ShardEntry {
  const checked = (given: Uint8Array): CheckedBytes => ({ bytes: given, checks: checksums(given) })
  return {
    name: entryName(item),
    shape: item.shape,
    storage,
    values: checked(bytes),
    scale: scale === null ? null : checked(scale),
    error,
  }
}

/** Where the tensors of an entry lie. */
export function placesOf({ shape, storage, offset, checks, scale }: Located): {
  values: Place
  scale: Place | null
} {
  const total = shape.reduce((product, n) => product * n, storageBytes[storage])
  const scaleTotal = shape.slice(0, -1).reduce((product, n) => product * n, 4)
  return { values: { offset, checks, total }, scale: scale === null ? null : { ...scale, total: scaleTotal } }
}

/** A stored entry with its bytes, checked. @throws PatchbayError `file.malformed` where it is damaged */
export async function loadEntry(
  file: PositionalFile,
  { entries }: ShardContent,
  name: string,
): Promise<ShardEntry> {
  const entry = entries.get(name)
  if (entry === undefined) throw new PatchbayError('internal', `The shard has no entry ${name}.`)
  const { values, scale } = placesOf(entry.located)
  const load = async (place: Place): Promise<CheckedBytes> => ({
    bytes: await readRuns(file, place, [{ start: 0, length: place.total }]),
    checks: await readChecks(file, place),
  })
  const { shape, storage, error } = entry.located
  return {
    name,
    shape,
    storage,
    values: await load(values),
    scale: scale === null ? null : await load(scale),
    error,
  }
}

/** Items in groups of about a shard each; one that is larger has its own. */
export function* groups<T>(items: readonly T[], bytesOf: (item: T) => number): Generator<T[]> {
  let group: T[] = []
  let bytes = 0
  for (const item of items) {
    group.push(item)
    bytes += bytesOf(item)
    if (bytes < SHARD_BYTES && group.length < SHARD_ENTRIES) continue
    yield group
    group = []
    bytes = 0
  }
  if (group.length > 0) yield group
}

const lengthOf = ({ values, scale }: ShardEntry): number =>
  byteLength(values) + (scale === null ? 0 : byteLength(scale))

/** By the checksums where the bytes are not there yet: rounded up to whole chunks. */
const byteLength = ({ bytes, checks }: CheckedBytes): number =>
  typeof bytes === 'function' ? checks.length * CHUNK : bytes.length

function sizeOfBatch({ entries, rows }: Batch): number {
  const rowBytes = [...rows.values()].reduce((sum, { tokens }) => sum + 600 + 8 * tokens.length, 0)
  return shardBytes(
    entries.map(({ name, values, scale }) => ({
      name,
      bytes: byteLength(values),
      scaleBytes: scale === null ? 0 : byteLength(scale),
    })),
    rowBytes,
  )
}
