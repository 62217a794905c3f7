/**
 * The activation store: values of hook points on disk, found by what computed them. Many processes read it, one at a time
 * writes. What `put` reports is on the disk, whole, and stays so whatever happens to the process afterwards; what is
 * damaged is never returned.
 */
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import { syncFolder } from '../../files/durable-folder'
import { exportBundle, importBundle, type BundleReport, type ImportReport } from './bundle'
import { DEFAULT_QUOTA, readConfig, writeConfig } from './config'
import { dtypes, entryKey, entryName, checkEntry, type Dtype, type EntryId, type Located } from './entry'
import type { TakeBytes } from './encoding'
import { StoreIndex } from './index'
import { checkSetId, readLabels, writeLabels, type Label } from './labels'
import { withLock, type LockOwner } from './lock'
import { collectGarbage, type GarbageReport } from './gc'
import { listSets, statisticsOf, type StoredSet, type StoreStatistics } from './overview'
import { pathsOf, writtenFolders, type StorePaths } from './paths'
import { Quarantine } from './quarantine'
import { readSlice, type StoredValues } from './read'
import { removeEntries, type Match, type RemoveReport } from './remove'
import { isNewer, readShard } from './shard-file'
import { ShardFiles } from './shard-files'
import type { Slice } from './slice'
import { makeLastingFolder, realFs, type StoreFs } from './store-fs'
import { Usage } from './usage'
import { verifyStore, type VerifyOptions, type VerifyReport } from './verify'
import {
  encodedBytes,
  encodeItem,
  SHARD_BYTES,
  Writer,
  type EncodedItem,
  type PutItem,
  type StoredItem,
  type WriterParts,
} from './writer'

export interface StoreOptions {
  /** Versions of what computes the values, kept with them. */
  producer: string
  fs?: StoreFs
  /** How long to wait for another writer, in ms. */
  waitMs?: number
  onWait?: (owner: LockOwner) => void
  /** Told of every entry that is found damaged; it is set aside then, and reads as if it were not there. */
  onDamage?: (error: PatchbayError) => void
}

export interface PutOptions {
  /** What is stored together, and later named, pinned and removed together. */
  set: string
  signal?: AbortSignal
}

export interface PutReport {
  stored: number
  /** Those that were there already. */
  present: number
  /** That the store has grown by; less than nothing where others were evicted for it. */
  bytes: number
}

export class ActivationStore {
  private readonly paths: StorePaths
  private readonly parts: WriterParts
  private readonly usage: Usage
  private quota = DEFAULT_QUOTA
  /** Why the settings can not be read; reading goes on, writing does not. */
  private broken: PatchbayError | null = null
  private queue: Promise<unknown> = Promise.resolve()
  private swept = false

  private constructor(
    readonly root: string,
    private readonly options: StoreOptions,
  ) {
    const fs = options.fs ?? realFs
    this.paths = pathsOf(root)
    const files = new ShardFiles(this.paths.shards)
    const quarantine = new Quarantine(this.paths.quarantine, fs)
    const index = new StoreIndex(files, this.paths.table, quarantine, fs)
    this.parts = { files, index, quarantine, fs }
    this.usage = new Usage(files, index, fs)
  }

  /**
   * Opens a store; where there is none it is empty, and made by the first `put`.
   * @throws PatchbayError that names the version, where a later Patchbay made it
   */
  static async open(root: string, options: StoreOptions): Promise<ActivationStore> {
    const store = new ActivationStore(root, options)
    try {
      await store.readSettings()
      await store.parts.index.refresh()
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** Whether nothing is stored; looks once a second at what other processes did. */
  async isEmpty(): Promise<boolean> {
    await this.parts.index.look()
    return this.parts.index.shards().length === 0
  }

  /** Whether each entry is there. */
  async has(ids: readonly EntryId[]): Promise<boolean[]> {
    const found = await this.parts.index.findAll(ids.map((id) => entryKey(entryName(id))))
    return found.map((located) => located !== null)
  }

  /** What is known of an entry without reading it: shape, how it lies, its error. */
  find(id: EntryId): Promise<Located | null> {
    return this.parts.index.find(entryKey(entryName(id)))
  }

  /**
   * An entry, or a slice of it, as float32; null where it is not there. Damage counts as not there (see `onDamage`).
   * @throws PatchbayError `input.invalid` for a slice outside of it, `file.unreadable` where the disk fails
   */
  async read(id: EntryId, slice: Slice = []): Promise<StoredValues | null> {
    const { files, index } = this.parts
    const key = entryKey(entryName(id))
    // Each round that finds something either returns or takes it out of the index.
    for (let found = await index.find(key); found !== null; found = await index.find(key)) {
      const located = found
      try {
        const values = await files.use(located.shard, (file) => readSlice(file, located, slice))
        await this.usage.touch(located.shard)
        return values
      } catch (error) {
        await this.afterFailedRead(located.shard, key, error)
      }
    }
    return null
  }

  /** As `read`, of the most exact of the dtypes in which it is there; with `exact` only where nothing was lost. */
  async readBest(
    { row, output }: Omit<EntryId, 'dtype'>,
    { slice, exact = false }: { slice?: Slice; exact?: boolean } = {},
  ): Promise<StoredValues | null> {
    for (const dtype of dtypes) {
      const found = await this.find({ row, output, dtype })
      if (found === null || (exact && found.error.max > 0)) continue
      const values = await this.read({ row, output, dtype }, slice)
      if (values !== null) return values
    }
    return null
  }

  /**
   * Stores values; returns when they are on the disk. Those that are there already are not written again.
   * @throws PatchbayError `disk.full` (also where the quota is pinned), `disk.failed`, `run.cancelled`, `input.invalid`;
   * each shard's entries are then stored or not there at all
   */
  put(items: readonly StoredItem[], { set, signal }: PutOptions): Promise<PutReport> {
    checkSetId(set)
    for (const item of items) if ('data' in item) checkEntry(item, item.shape, item.data.length)
    return this.write(async (writer) => {
      const missing = new Map<string, StoredItem>()
      let present = 0
      for (const item of items) {
        const name = entryName(item)
        const located = missing.has(name) ? null : await this.parts.index.findKnown(entryKey(name))
        if (missing.has(name) || located !== null) present++
        else missing.set(name, item)
        if (located === null) continue
        writer.hold(located.shard)
        await this.usage.touch(located.shard)
      }
      const meta = { set, created: new Date().toISOString(), producer: this.options.producer }
      const bytes = await writer.put([...missing.values()], meta, signal)
      // Who stored what is present may have died before the folder was synced; a shard that is written sees to that.
      if (missing.size === 0 && present > 0) await syncFolder(this.paths.shards, this.parts.fs)
      return { stored: missing.size, present, bytes }
    }, signal)
  }

  /** Sets with their labels, those used last first. */
  async list(): Promise<StoredSet[]> {
    await this.parts.index.refresh()
    return listSets(this.parts, await readLabels(this.paths.labels, this.parts.fs), this.usage)
  }

  /** Entries of a set, shard by shard as their headers say. */
  async *entries(set: string): AsyncGenerator<EntryId & Located> {
    for (const { id, set: of } of this.parts.index.shards()) {
      if (of !== set) continue
      for (const { id: entry, located } of (
        await readShard(this.parts.files.pathOf(id), id)
      ).entries.values())
        yield { ...entry, ...located }
    }
  }

  statistics(): StoreStatistics {
    return statisticsOf(this.parts, this.quota)
  }

  /** Changes name, note or pin of a set. */
  label(set: string, change: Partial<Label>): Promise<void> {
    checkSetId(set)
    return this.write(async () => {
      const labels = await readLabels(this.paths.labels, this.parts.fs)
      labels.set(set, { ...(labels.get(set) ?? { pinned: false }), ...change })
      await writeLabels(this.paths.labels, labels, this.parts.fs)
    })
  }

  remove(match: Match): Promise<RemoveReport> {
    return this.write((writer) => removeEntries(this.parts, writer, match))
  }

  /** Removes what is damaged or too much, joins small shards, writes the index. @param quota bytes from now on */
  gc({ quota }: { quota?: number } = {}): Promise<GarbageReport> {
    return this.write(
      async (writer) => {
        const folders = [...writtenFolders(this.paths), this.paths.quarantine]
        const report = await collectGarbage(this.parts, writer, folders)
        await this.parts.index.writeTable({ fs: this.parts.fs })
        return report
      },
      undefined,
      quota,
    )
  }

  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return verifyStore(this.parts, this.paths, options)
  }

  /** Writes what matches into one file, which `importBundle` of any store reads, and any safetensors library. */
  exportBundle(file: string, match: Match, options: VerifyOptions = {}): Promise<BundleReport> {
    return exportBundle(this.parts, file, match, this.options.producer, options)
  }

  /** Takes in a bundle: everything in it is checked before anything is stored. */
  importBundle(
    file: string,
    { set, ...options }: VerifyOptions & { set?: string } = {},
  ): Promise<ImportReport> {
    if (set !== undefined) checkSetId(set)
    return this.write((writer) => importBundle(this.parts, writer, file, set, options), options.signal)
  }

  async close(): Promise<void> {
    await this.queue
    await this.parts.index.close()
    await this.parts.files.close()
  }

  private async readSettings(): Promise<void> {
    try {
      this.quota = (await readConfig(this.paths.config, this.parts.fs))?.quota ?? DEFAULT_QUOTA
    } catch (error) {
      if (isNewer(error) || !(error instanceof PatchbayError)) throw error
      this.broken = error
    }
  }

  private async afterFailedRead(shard: string, key: string, thrown: unknown): Promise<void> {
    const error = asPatchbayError(thrown)
    const { files, index, quarantine } = this.parts
    if (error.code === 'file.missing') {
      files.forget(shard)
      await index.refresh()
      index.drop(shard)
    } else if (error.code === 'file.malformed') {
      await quarantine.add(shard, key, error.message)
      files.forget(shard)
      this.options.onDamage?.(error)
    } else throw error
  }

  /** Runs `work` as the one writer; calls of this process go one after the other. */
  private write<T>(work: (writer: Writer) => Promise<T>, signal?: AbortSignal, quota?: number): Promise<T> {
    const { waitMs, onWait } = this.options
    const { fs, index } = this.parts
    const result = this.queue.then(async () => {
      if (!this.swept)
        for (const folder of [this.paths.root, this.paths.shards]) await makeLastingFolder(folder, fs)
      return withLock(this.paths.lock, { fs, waitMs, onWait, signal }, async () => {
        const done = await this.becomeWriter(quota).then(work)
        if (index.wantsTable) await index.writeTable({ fs }).catch(this.tableFailed)
        return done
      })
    })
    this.queue = result.catch(() => undefined) // who called was told
    return result.catch((error: unknown) => {
      throw asPatchbayError(error)
    })
  }

  private async becomeWriter(quota: number | undefined): Promise<Writer> {
    const { fs, index } = this.parts
    if (this.broken !== null) throw this.broken
    const config = await readConfig(this.paths.config, fs)
    this.quota = quota ?? config?.quota ?? this.quota
    if (config?.quota !== this.quota) await writeConfig(this.paths.config, this.quota, fs)
    await index.refresh()
    const labels = await readLabels(this.paths.labels, fs)
    const pinned = (set: string): boolean => labels.get(set)?.pinned === true
    const writer = new Writer(this.parts, this.quota, pinned, () => this.usage.now())
    if (!this.swept) await writer.sweep(writtenFolders(this.paths))
    this.swept = true
    return writer
  }

  /** The index is only a short cut: what was stored is stored, and the next writer tries again. */
  private readonly tableFailed = (error: unknown): void => {
    console.warn(`The index of stored activations could not be written: ${asPatchbayError(error).message}`)
  }
}

export { encodedBytes, encodeItem, SHARD_BYTES }
export type {
  Dtype,
  EncodedItem,
  EntryId,
  Located,
  PutItem,
  Slice,
  StoredItem,
  StoredSet,
  StoredValues,
  StoreStatistics,
  TakeBytes,
}
