/**
 * What was found damaged: a mark for each entry or shard, a small file that any reader may write without being the writer.
 * Marked entries are not there for anybody, so they are computed again; `gc` removes them with their marks.
 */
import path from 'node:path'
import { writeWhole } from '../../files/durable-file'
import { namesIn, type StoreFs } from './store-fs'

const markPattern = /^([0-9a-f]{16})(?:\.([0-9a-f]{32}))?$/

export class Quarantine {
  private marks = new Set<string>()

  constructor(
    private readonly folder: string,
    private readonly fs: StoreFs,
  ) {}

  /** Reads the marks that are there, also those of other processes. */
  async refresh(): Promise<void> {
    const names = await namesIn(this.fs, this.folder)
    this.marks = new Set([...this.unwritten, ...names.filter((name) => markPattern.test(name))])
  }

  /** Whether an entry, or its whole shard, is set aside. */
  holds(shard: string, key: string): boolean {
    return this.marks.has(shard) || this.marks.has(`${shard}.${key}`)
  }

  holdsShard(shard: string): boolean {
    return this.marks.has(shard)
  }

  /** Shards of which something is set aside. */
  shards(): Set<string> {
    return new Set([...this.marks].map((mark) => mark.slice(0, 16)))
  }

  get size(): number {
    return this.marks.size
  }

  /** Sets an entry aside, or a whole shard; for this process at once, and for others where the mark can be written. */
  async add(shard: string, key: string | null, problem: string): Promise<void> {
    const mark = key === null ? shard : `${shard}.${key}`
    if (this.marks.has(mark)) return
    this.marks.add(mark)
    this.unwritten.add(mark)
    try {
      await writeWhole(path.join(this.folder, mark), `${problem}\n`, { fs: this.fs })
      this.unwritten.delete(mark)
    } catch {
      // A disk that takes no mark: every process then finds the damage itself, by the checksum.
    }
  }

  /** Takes away all marks of a shard that was removed. */
  async release(shard: string): Promise<void> {
    for (const mark of [...this.marks])
      if (mark.startsWith(shard)) {
        await this.fs.rm(path.join(this.folder, mark), { force: true })
        this.marks.delete(mark)
        this.unwritten.delete(mark)
      }
  }

  private readonly unwritten = new Set<string>()
}
