/** When shards were used last: their files' times, so that every process sees them and a lost index does not forget them. */
import { asPatchbayError } from '../../../preload/errors'
import type { StoreIndex } from './index'
import type { ShardFiles } from './shard-files'
import { isMissing, type StoreFs } from './store-fs'

/** A shard's time is set at most so often by one process. */
const TOUCH_EVERY_MS = 30_000

export class Usage {
  /** When this process touched a shard, by its own clock. */
  private readonly touched = new Map<string, number>()
  private newest: Promise<number> | null = null
  private latest = 0

  constructor(
    private readonly files: ShardFiles,
    private readonly index: StoreIndex,
    private readonly fs: StoreFs,
  ) {}

  /**
   * Now, in ms, but never before anything that was used already: where the clock was set back, order still tells what was
   * used last.
   */
  async now(): Promise<number> {
    this.newest ??= this.newestUse().catch((error: unknown) => {
      this.newest = null // a disk that fails once is asked again
      throw error
    })
    this.latest = Math.max(Date.now(), (await this.newest) + 1, this.latest + 1)
    return this.latest
  }

  /** When a shard was used last, in ms; 0 where it is gone. */
  async usedAt(id: string): Promise<number> {
    try {
      return (await this.fs.stat(this.files.pathOf(id))).mtimeMs
    } catch (error) {
      if (isMissing(error)) return 0
      throw asPatchbayError(error)
    }
  }

  async touch(id: string): Promise<void> {
    const before = this.touched.get(id)
    if (before !== undefined && performance.now() - before < TOUCH_EVERY_MS) return
    this.touched.set(id, performance.now())
    try {
      const time = (await this.now()) / 1000
      await this.fs.utimes(this.files.pathOf(id), time, time)
    } catch {
      // A disk that may only be read, or a shard just evicted: the value was read, and only its rank is not noted.
    }
  }

  private async newestUse(): Promise<number> {
    let newest = 0
    for (const { id } of this.index.shards()) newest = Math.max(newest, await this.usedAt(id))
    return newest
  }
}
