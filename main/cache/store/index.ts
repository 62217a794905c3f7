/**
 * Which entries there are. The truth is the shards' folder: what lies there whole is stored. The table (table.ts) spares
 * reading the headers of the shards that it covers; those of all others are read here. A table that is lost, damaged or
 * old is therefore never more than slow, and a shard that is gone takes its entries along.
 */
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import type { DurableOptions } from '../../files/durable-file'
import { entryKey, type Located } from './entry'
import { Leased } from './leased'
import type { Quarantine } from './quarantine'
import { isNewer, readShard, type ShardContent } from './shard-file'
import { ShardFiles } from './shard-files'
import { isMissing, namesIn, type StoreFs } from './store-fs'
import { Table, writeTable, type IndexRecord, type ShardSummary } from './table'

/** The table is written anew when this many entries or shards are not in it, and they are a quarter of it. */
const LOOSE_ENTRIES = 4096
const LOOSE_SHARDS = 64

/** Changes within the same tick of the file system's clock leave the same time: look again while it is so recent. */
const RECENT_MS = 2000

/** How long a shard that another process removed may still be read, and its space be held by this process. */
const LOOK_EVERY_MS = 1000

export class StoreIndex {
  private table: Leased<Table> | null = null
  private tableStamp = ''
  /** Shards that the table knows. */
  private covered: ReadonlyMap<string, ShardSummary> = new Map()
  private tableRecords = 0
  /** The table is of a later version: it is neither used nor replaced. */
  private foreignTable = false
  private readonly loose = new Map<string, Located[]>()
  private readonly looseShards = new Map<string, { summary: ShardSummary; keys: string[] }>()
  private live = new Map<string, ShardSummary>()
  /** Shards of a later version: left alone. */
  readonly foreign = new Set<string>()
  private folderTime = NaN
  /** When the folder was last looked at, by this process' own clock. */
  private lookedAt = -Infinity
  private refreshing: Promise<void> | null = null
  private refreshingNext: Promise<void> | null = null
  /** Shards that this process added or removed while the folder was being listed: the list may not know of it. */
  private readonly addedMeanwhile = new Set<string>()
  private readonly droppedMeanwhile = new Set<string>()

  constructor(
    private readonly files: ShardFiles,
    private readonly tableFile: string,
    private readonly quarantine: Quarantine,
    private readonly fs: StoreFs,
  ) {}

  /** All shards that can be read. */
  shards(): ShardSummary[] {
    return [...this.live.values()].filter(({ id }) => !this.quarantine.holdsShard(id))
  }

  /** Where an entry lies; null where it is not there or was set aside. */
  async find(key: string): Promise<Located | null> {
    await this.look()
    const found = await this.findKnown(key)
    if (found !== null || !(await this.refreshIfChanged())) return found
    return this.findKnown(key)
  }

  /** Where entries lie, as `find`: for many at once the folder is looked at once. */
  async findAll(keys: readonly string[]): Promise<(Located | null)[]> {
    await this.look()
    const found: (Located | null)[] = []
    for (const key of keys) found.push(await this.findKnown(key))
    if (!found.includes(null) || !(await this.refreshIfChanged())) return found
    for (const [i, located] of found.entries()) found[i] = located ?? (await this.findKnown(keys[i]))
    return found
  }

  /** Takes in what other processes did, where that was not looked for within the last second. */
  async look(): Promise<void> {
    if (performance.now() - this.lookedAt > LOOK_EVERY_MS) await this.refreshIfChanged()
  }

  /**
   * Reads the folders again: what other processes stored, removed or set aside. A reading that is under way may have begun
   * before what the caller knows of, so it is waited for, and all who wait share the next.
   */
  async refresh(): Promise<void> {
    if (this.refreshing === null) this.refreshing = this.read().finally(() => (this.refreshing = null))
    else {
      const begin = (): Promise<void> => {
        this.refreshingNext = null
        return this.refresh()
      }
      this.refreshingNext ??= this.refreshing.then(begin, begin)
      return this.refreshingNext
    }
    await this.refreshing
  }

  /** Takes in a shard that this process has just written. */
  add(summary: ShardSummary, entries: ReadonlyMap<string, Located>): void {
    const keys: string[] = []
    for (const [name, located] of entries) {
      const key = entryKey(name)
      keys.push(key)
      this.loose.set(key, [located, ...(this.loose.get(key) ?? [])])
    }
    this.looseShards.set(summary.id, { summary, keys })
    this.live.set(summary.id, summary)
    this.addedMeanwhile.add(summary.id)
  }

  /** Forgets a shard that this process has removed. */
  drop(id: string): void {
    this.droppedMeanwhile.add(id)
    this.leave(id)
  }

  private leave(id: string): void {
    this.live.delete(id)
    const shard = this.looseShards.get(id)
    this.looseShards.delete(id)
    for (const key of shard?.keys ?? []) {
      const left = (this.loose.get(key) ?? []).filter((located) => located.shard !== id)
      if (left.length > 0) this.loose.set(key, left)
      else this.loose.delete(key)
    }
  }

  /** Whether so much is outside of the table that reading it at every start would take long. */
  get wantsTable(): boolean {
    const loose = this.looseShards.size
    return (
      !this.foreignTable &&
      (this.loose.size >= LOOSE_ENTRIES || loose >= LOOSE_SHARDS) &&
      (this.loose.size * 4 >= this.tableRecords || loose * 4 >= this.covered.size)
    )
  }

  /** Writes the table anew. Only the writer calls it. @throws PatchbayError `disk.full`, `disk.failed`; nothing is lost then */
  async writeTable(durable: DurableOptions): Promise<void> {
    if (this.foreignTable) return
    try {
      await this.table?.use((table) => table.check())
    } catch (error) {
      await this.abandonTable(error)
    }
    await writeTable(this.tableFile, this.shards(), this.merged(), durable)
    this.folderTime = NaN
    await this.refresh()
  }

  async close(): Promise<void> {
    await this.table?.retire()
    this.table = null
  }

  /** `find` without looking for what other processes did since the last reading of the folders. */
  async findKnown(key: string): Promise<Located | null> {
    const usable = ({ shard }: Located): boolean => this.live.has(shard) && !this.quarantine.holds(shard, key)
    const loose = this.loose.get(key)?.find(usable)
    if (loose !== undefined || this.table === null) return loose ?? null
    try {
      return (await this.table.use((table) => table.find(key))).find(usable) ?? null
    } catch (error) {
      await this.abandonTable(error)
      return this.findKnown(key)
    }
  }

  /** A damaged table is not asked again: the shards say the same. */
  private async abandonTable(error: unknown): Promise<void> {
    if (!(error instanceof PatchbayError)) throw error
    this.leaveTable()
    await this.refresh()
  }

  /** @returns whether anything was read */
  private async refreshIfChanged(): Promise<boolean> {
    const time = await this.changed()
    // Without a folder there is nothing to read.
    if (Number.isNaN(time) && Number.isNaN(this.folderTime)) return false
    if (time === this.folderTime && Math.abs(Date.now() - time) > RECENT_MS) return false
    await this.refresh()
    return true
  }

  private async changed(): Promise<number> {
    this.lookedAt = performance.now()
    try {
      return (await this.fs.stat(this.files.folder)).mtimeMs
    } catch (error) {
      if (isMissing(error)) return NaN
      throw asPatchbayError(error)
    }
  }

  private async read(): Promise<void> {
    this.folderTime = await this.changed()
    await this.quarantine.refresh()
    this.addedMeanwhile.clear()
    this.droppedMeanwhile.clear()
    const names = await namesIn(this.fs, this.files.folder)
    const ids = new Set(names.flatMap((name) => ShardFiles.idOf(name) ?? []))
    await this.openTable()
    for (const id of new Set([...this.looseShards.keys(), ...this.live.keys()])) {
      if (ids.has(id) || this.addedMeanwhile.has(id)) continue
      this.leave(id)
      this.files.forget(id)
    }
    for (const id of ids) {
      if (this.droppedMeanwhile.has(id)) continue
      const summary = this.covered.get(id)
      if (summary !== undefined) {
        this.leave(id)
        this.live.set(id, summary)
      } else if (!this.looseShards.has(id) && !this.quarantine.holdsShard(id) && !this.foreign.has(id))
        await this.readHeader(id)
    }
  }

  private async readHeader(id: string): Promise<void> {
    try {
      const content = await readShard(this.files.pathOf(id), id)
      if (!this.droppedMeanwhile.has(id)) this.add(summaryOf(content), locations(content))
    } catch (error) {
      if (isNewer(error)) this.foreign.add(id)
      else if (!(error instanceof PatchbayError)) throw error
      else if (error.code === 'file.malformed') await this.quarantine.add(id, null, error.message)
      // Removed meanwhile, or unreadable just now: it is not there for this reading.
    }
  }

  /** Opens the table where it is another one than before. A damaged one is not tried again. */
  private async openTable(): Promise<void> {
    const stamp = await this.stampOf()
    if (stamp === this.tableStamp) return
    this.leaveTable()
    this.tableStamp = stamp
    this.foreignTable = false
    if (stamp === '') return
    try {
      const table = await Table.open(this.tableFile)
      this.table = new Leased(table)
      this.covered = new Map(table.covered.map((summary) => [summary.id, summary]))
      this.tableRecords = table.records
    } catch (error) {
      // Lost or damaged: the shards' headers are read instead, and the next writer writes it again.
      this.foreignTable = isNewer(error)
    }
  }

  private leaveTable(): void {
    void this.table?.retire()
    this.table = null
    this.covered = new Map()
    this.tableRecords = 0
  }

  private async stampOf(): Promise<string> {
    try {
      const { mtimeMs, size, ino } = await this.fs.stat(this.tableFile)
      return `${mtimeMs} ${size} ${ino}`
    } catch (error) {
      if (isMissing(error)) return ''
      throw asPatchbayError(error)
    }
  }

  /** All records of table and loose shards, sorted by key. */
  private async *merged(): AsyncGenerator<IndexRecord> {
    const loose = [...this.loose.keys()].sort()
    let next = 0
    const held = this.table?.hold()
    try {
      if (held !== undefined)
        for await (const record of held.value.all()) {
          while (next < loose.length && loose[next] < record[0]) yield* this.looseRecords(loose[next++])
          // Of a shard that the table does not wholly cover, the header was read.
          if (this.covered.has(record[1].shard)) yield record
        }
      while (next < loose.length) yield* this.looseRecords(loose[next++])
    } finally {
      held?.release()
    }
  }

  private *looseRecords(key: string): Generator<IndexRecord> {
    for (const located of this.loose.get(key) ?? []) yield [key, located]
  }
}

export const summaryOf = ({ id, set, entries, bytes }: ShardContent): ShardSummary => ({
  id,
  set,
  entries: entries.size,
  bytes,
})

const locations = ({ entries }: ShardContent): Map<string, Located> =>
  new Map([...entries].map(([name, { located }]) => [name, located]))
