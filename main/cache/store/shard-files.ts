/** The shards' folder: names, and a bounded number of files kept open for reading. */
import path from 'node:path'
import { PositionalFile } from '../../models/formats/positional-file'
import { Leased } from './leased'

const SUFFIX = '.safetensors'
const namePattern = /^[0-9a-f]{16}\.safetensors$/

/** Files that stay open: a random read in a store of gigabytes then costs no opening. */
const OPEN_FILES = 128

export class ShardFiles {
  private readonly open = new Map<string, Promise<Leased<PositionalFile>>>()

  constructor(readonly folder: string) {}

  pathOf(id: string): string {
    return path.join(this.folder, id + SUFFIX)
  }

  /** The shard that a file name means; null for what is no shard. */
  static idOf(name: string): string | null {
    return namePattern.test(name) ? name.slice(0, -SUFFIX.length) : null
  }

  /** Runs `work` on the open file. @throws PatchbayError `file.missing` where it is gone, and what `work` throws */
  async use<R>(id: string, work: (file: PositionalFile) => Promise<R>): Promise<R> {
    const known = this.open.get(id)
    const opening = known ?? PositionalFile.open(this.pathOf(id)).then((file) => new Leased(file))
    this.open.delete(id)
    this.open.set(id, opening)
    try {
      const file = await opening
      const result = file.use(work)
      await this.trim()
      return await result
    } catch (error) {
      if (known === undefined) await opening.catch(() => this.open.delete(id))
      throw error
    }
  }

  /** Closes a shard that was removed or is damaged, as soon as those who read it are done. */
  forget(id: string): void {
    const opening = this.open.get(id)
    this.open.delete(id)
    if (opening !== undefined) void retire(opening)
  }

  async close(): Promise<void> {
    const all = [...this.open.values()]
    this.open.clear()
    await Promise.all(all.map(retire))
  }

  private async trim(): Promise<void> {
    for (const [id, opening] of this.open) {
      if (this.open.size <= OPEN_FILES) return
      this.open.delete(id)
      void retire(opening)
    }
  }
}

/** A file that could not be opened has nothing to close; who asked for it was told. */
const retire = (opening: Promise<Leased<PositionalFile>>): Promise<void> =>
  opening.then(
    (file) => file.retire(),
    () => undefined,
  )
