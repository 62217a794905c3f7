/**
 * The collections of this machine: a folder each below one folder, their values in the activation store. A folder that can
 * not be read hides no other.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Collection, CollectionSummary } from '../../preload/collections'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import type { ActivationStore } from '../cache/store/store'
import { removePartials } from '../files/durable-file'
import { OpenCollection } from './collection'
import { createFolder, type NewItem } from './create'
import { pathsOf, readLabel, readManifest, writeLabel } from './folder'
import { checkId, newId, setOf, unknownCollection } from './names'
import type { CollectionLabel, Manifest } from './schema'
import { tableColumns } from './columns'
import { RowTable } from './table/row-table'
import { CollectionWriter, type NewCollection } from './writer'

export interface CollectionsOptions {
  /** One folder a collection; made with the first. */
  folder: string
  /** The activation store; null where it can not be opened. */
  store: () => Promise<ActivationStore | null>
}

/** Without a manifest for this long, a folder belongs to a process that died. */
const ABANDONED_MS = 24 * 60 * 60 * 1000

const isThere = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    (error: unknown) => asPatchbayError(error).code !== 'file.missing',
  )

/** Open collections that are kept: what was asked of one is mostly asked of it again. */
const KEPT_OPEN = 4

/** An id that no collection has. */
export const newCollectionId = newId

export class Collections {
  private readonly opened = new Map<string, { opening: Promise<Opened>; users: number }>()

  constructor(private readonly options: CollectionsOptions) {}

  /** All collections, the newest first. */
  async list(): Promise<CollectionSummary[]> {
    const sets = await this.sets()
    const found: CollectionSummary[] = []
    for (const id of await this.ids()) {
      try {
        found.push(await this.summary(id, sets))
      } catch (error) {
        const { code, message } = asPatchbayError(error)
        // Without its manifest a folder is none yet, or was removed meanwhile.
        if (code !== 'input.invalid') console.warn(`A collection can not be read: ${message}`)
      }
    }
    return found.sort((a, b) => (a.created < b.created ? 1 : -1))
  }

  /** @throws PatchbayError `input.invalid` for an id that is not there, `file.malformed` */
  async describe(id: string): Promise<Collection> {
    const manifest = await this.manifest(id)
    const { provenance, dataset, labels, failures, duplicates } = manifest
    return {
      ...(await this.summary(id, await this.sets())),
      provenance,
      dataset,
      outputs: manifest.outputs.map(({ content: _, part: __, ...output }) => output),
      columns: tableColumns(manifest).map(({ name, type, from }) => ({ name, type, from })),
      labels,
      failures,
      duplicates,
    }
  }

  /**
   * Makes a collection: its rows are on the disk when this returns, its values are put after it.
   * @param id from `newCollectionId`, for who has to know it before it is there
   * @throws PatchbayError as `createFolder`; `disk.failed` where the activation store can not be opened
   */
  async create(
    collection: NewCollection,
    items: AsyncIterable<NewItem>,
    { signal, id = newId(collection.name) }: { signal?: AbortSignal; id?: string } = {},
  ): Promise<CollectionWriter> {
    const store = await this.store()
    await this.sweep()
    // What a process left that died while it made this one.
    if (!(await this.has(id))) await rm(this.folderOf(id), { recursive: true, force: true })
    await createFolder(this.folderOf(id), id, collection, items, signal)
    await store.label(setOf(id), { name: collection.name.slice(0, 200) })
    return new CollectionWriter(await this.openNew(id), store)
  }

  /** Whether there is a collection, complete or not; what a process left that died while it made one is none. */
  has(id: string): Promise<boolean> {
    return isThere(pathsOf(this.folderOf(id)).manifest)
  }

  /** Goes on with one that is not complete. @throws PatchbayError as `use` */
  async resume(id: string): Promise<CollectionWriter> {
    const store = await this.store()
    const { name } = await this.labelOf(id)
    // Who made it may have died before that.
    await store.label(setOf(id), { name: name.slice(0, 200) })
    await removePartials(this.folderOf(id))
    return new CollectionWriter(await this.openNew(id), store)
  }

  /**
   * Works on an open collection. It stays open afterwards, until it is removed or others are needed.
   * @throws PatchbayError `input.invalid` for an id that is not there, `file.malformed`, `file.unreadable`, `disk.failed`;
   *   or what `work` throws
   */
  async use<T>(id: string, work: (collection: OpenCollection, table: RowTable) => Promise<T>): Promise<T> {
    const kept = this.opened.get(checkId(id)) ?? { opening: this.openWithTable(id), users: 0 }
    // The last one used stands last.
    this.opened.delete(id)
    this.opened.set(id, kept)
    kept.users++
    try {
      const { collection, table } = await kept.opening
      if (!collection.manifest.complete) collection.manifest = await this.manifest(id)
      return await work(collection, table)
    } catch (error) {
      if ((await kept.opening.catch(() => null)) === null) this.opened.delete(id)
      throw error
    } finally {
      kept.users--
      await this.closeUnused(KEPT_OPEN)
    }
  }

  /** @throws PatchbayError as `describe` */
  async labelOf(id: string): Promise<CollectionLabel> {
    await this.manifest(id)
    return readLabel(this.folderOf(id))
  }

  /** Changes name, note or pin. A pinned collection's values are never evicted. */
  async label(
    id: string,
    { name, note, pinned }: Partial<CollectionLabel> & { pinned?: boolean },
  ): Promise<CollectionSummary> {
    const known = await this.labelOf(id)
    const label = { name: name ?? known.name, note: note ?? known.note }
    await writeLabel(this.folderOf(id), label)
    await (
      await this.store()
    ).label(setOf(id), {
      name: label.name,
      ...(pinned === undefined ? {} : { pinned }),
    })
    return this.summary(id, await this.sets())
  }

  /** Removes a collection and its values, except for those that another set has stored. */
  async remove(id: string): Promise<void> {
    await this.manifest(id).catch((error: unknown) => {
      // One that can not be read can still be removed.
      if (asPatchbayError(error).code === 'input.invalid') throw error
    })
    const kept = this.opened.get(id)
    if (kept !== undefined && kept.users > 0)
      throw new PatchbayError('input.invalid', 'The collection is in use.', {
        next: 'Wait until what reads it is done, or cancel that.',
      })
    this.opened.delete(id)
    if (kept !== undefined) await closed(kept.opening)
    await (await this.store()).remove({ set: setOf(id) })
    await rm(this.folderOf(id), { recursive: true, force: true }).catch((error: unknown) => {
      throw asPatchbayError(error)
    })
  }

  /** Closes everything; what is still at work fails. */
  async close(): Promise<void> {
    const open = [...this.opened.values()]
    this.opened.clear()
    for (const { opening } of open) await closed(opening)
  }

  private async closeUnused(keep: number): Promise<void> {
    const unused = [...this.opened].filter(([, { users }]) => users === 0)
    for (const [id, { opening }] of unused.slice(0, Math.max(0, this.opened.size - keep))) {
      this.opened.delete(id)
      await closed(opening)
    }
  }

  private async openWithTable(id: string): Promise<Opened> {
    const collection = await this.openNew(id)
    return { collection, table: new RowTable(collection) }
  }

  private async openNew(id: string): Promise<OpenCollection> {
    const manifest = await this.manifest(id)
    return OpenCollection.open(this.folderOf(id), manifest, await this.store())
  }

  private async summary(id: string, sets: StoredSets): Promise<CollectionSummary> {
    const { created, provenance, files, tokens, complete } = await this.manifest(id)
    const { name, note } = await readLabel(this.folderOf(id))
    const { modelName, fingerprint } = provenance
    const { bytes, pinned } = sets.get(setOf(id)) ?? { bytes: 0, pinned: false }
    return {
      id,
      name,
      note,
      created,
      modelName,
      fingerprint,
      rows: files.rows.lines,
      tokens,
      bytes: bytes + files.rows.bytes + files.tokens.bytes,
      pinned,
      complete,
    }
  }

  private async manifest(id: string): Promise<Manifest> {
    checkId(id)
    return readManifest(this.folderOf(id)).catch((error: unknown) => {
      throw asPatchbayError(error).code === 'file.missing' ? unknownCollection(id) : error
    })
  }

  private async ids(): Promise<string[]> {
    await mkdir(this.options.folder, { recursive: true }).catch((error: unknown) => {
      throw asPatchbayError(error)
    })
    const entries = await readdir(this.options.folder, { withFileTypes: true })
    return entries
      .filter((entry) => entry.isDirectory() && /^[0-9a-z]/.test(entry.name))
      .map(({ name }) => name)
  }

  /** Removes what a process that died left of collections that it was making. */
  private async sweep(): Promise<void> {
    for (const id of await this.ids()) {
      const folder = this.folderOf(id)
      const { manifest } = pathsOf(folder)
      const age = Date.now() - (await stat(folder).catch(() => ({ mtimeMs: Infinity }))).mtimeMs
      if (age < ABANDONED_MS || (await isThere(manifest))) continue
      await rm(folder, { recursive: true, force: true }).catch(() => undefined) // the next one tries again
    }
  }

  private async sets(): Promise<StoredSets> {
    const store = await this.options.store()
    const sets = store === null ? [] : await store.list()
    return new Map(sets.map(({ set, bytes, label }) => [set, { bytes, pinned: label.pinned }]))
  }

  private async store(): Promise<ActivationStore> {
    const store = await this.options.store()
    if (store !== null) return store
    throw new PatchbayError('disk.failed', 'The store of activations can not be opened.', {
      next: 'Run `patchbay cache verify`; it says what is wrong with the store.',
    })
  }

  private folderOf(id: string): string {
    return path.join(this.options.folder, id)
  }
}

interface Opened {
  collection: OpenCollection
  table: RowTable
}

async function closed(opening: Promise<Opened>): Promise<void> {
  const opened = await opening.catch(() => null) // who opened it was told why that failed
  opened?.table.end()
  await opened?.collection.close()
}

type StoredSets = ReadonlyMap<string, { bytes: number; pinned: boolean }>
