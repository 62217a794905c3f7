/**
 * Puts what was computed into the store while the next batches compute: values are laid one behind the other until they
 * make a shard, and few shards are under way at a time, so that memory stays bounded when the disk is slower than the model.
 */
import { setImmediate } from 'node:timers/promises'
import { PatchbayError } from '../../preload/errors'
import { encodedBytes, SHARD_BYTES, type ActivationStore, type EncodedItem } from '../cache/store/store'

/** Shards that are under way at most. */
const UNDER_WAY = 2

/** Values that are put together: half of what a shard may be, so that little memory waits for the disk. */
const TOGETHER = SHARD_BYTES / 2

/**
 * Storing a shard takes some forty steps of the file system, one after the other, and a graph that runs keeps this thread
 * from taking the next. So between graphs it looks some times whether a step is done.
 */
const LOOKS = 4

export interface StoringOptions {
  readonly store: Pick<ActivationStore, 'put'>
  readonly set: string
  readonly signal: AbortSignal
  /** Bytes that are put together. */
  readonly together?: number
}

/** Encoded values that are put together, and the memory that they lie in. */
interface Gathered {
  readonly items: EncodedItem[]
  readonly memory: ArrayBuffer
  /** Bytes of the memory that are taken, and bytes of all items wherever they lie. */
  taken: number
  bytes: number
}

export class Storing {
  /** Bytes that the store grew by, and entries that it did not have. */
  bytes = 0
  entries = 0
  readonly #together: number
  #gathered: Gathered
  readonly #underWay: Promise<void>[] = []
  /** Memory of shards that are stored, for others. */
  readonly #free: ArrayBuffer[] = []
  /** Shards that are not on the disk yet. */
  #pending = 0
  #failure: { thrown: unknown } | null = null

  constructor(private readonly options: StoringOptions) {
    this.#together = options.together ?? TOGETHER
    this.#gathered = this.#gather()
  }

  /** Memory for an encoded value that is added next. */
  readonly take = (bytes: number): Uint8Array => {
    const into = this.#gathered
    if (into.taken + bytes > into.memory.byteLength) return new Uint8Array(bytes)
    into.taken += bytes
    return new Uint8Array(into.memory, into.taken - bytes, bytes)
  }

  /**
   * Takes values, as many at once as are like each other: when no more such fit, what was gathered is put. Returns at once
   * unless what was taken long before is not on the disk yet.
   * @throws PatchbayError what storing earlier values threw
   */
  async add(items: readonly EncodedItem[]): Promise<void> {
    const into = this.#gathered
    const before = into.bytes
    for (const item of items) {
      into.items.push(item)
      into.bytes += encodedBytes(item)
    }
    if (2 * into.bytes - before > this.#together) await this.flush()
    if (this.#pending > 0) for (let look = 0; look < LOOKS; look++) await setImmediate()
  }

  /** Begins to put what was gathered. @throws PatchbayError as `add` */
  async flush(): Promise<void> {
    while (this.#underWay.length >= UNDER_WAY) await this.#underWay.shift()
    this.#throwFailure()
    if (this.#gathered.items.length === 0) return
    const { items, memory } = this.#gathered
    this.#underWay.push(this.#put(items, memory))
    this.#gathered = this.#gather()
  }

  /** Waits until everything that was added is on the disk. @throws PatchbayError as `add` */
  async settle(): Promise<void> {
    await this.flush()
    await this.abandon()
    this.#throwFailure()
  }

  /** Resolves when what was flushed so far is on the disk. @throws PatchbayError as `add` */
  async stored(): Promise<void> {
    await Promise.all(this.#underWay)
    this.#throwFailure()
  }

  /** Waits for what is under way, whatever becomes of it. */
  async abandon(): Promise<void> {
    await Promise.all(this.#underWay.splice(0))
  }

  #gather(): Gathered {
    return { items: [], memory: this.#free.pop() ?? new ArrayBuffer(this.#together), taken: 0, bytes: 0 }
  }

  async #put(items: readonly EncodedItem[], memory: ArrayBuffer): Promise<void> {
    const { store, set, signal } = this.options
    this.#pending++
    try {
      const { bytes, stored } = await store.put(items, { set, signal })
      this.bytes += bytes
      this.entries += stored
      this.#free.push(memory)
    } catch (thrown) {
      this.#failure ??= { thrown }
    } finally {
      this.#pending--
    }
  }

  #throwFailure(): void {
    if (this.#failure === null) return
    const { thrown } = this.#failure
    if (thrown instanceof PatchbayError && thrown.code === 'disk.full')
      throw new PatchbayError(
        'disk.full',
        `The extraction stopped because there is no room for more values. ${thrown.message}`,
        {
          file: thrown.file,
          next: `${thrown.next ?? 'Free some space.'} Then resume the job.`,
          cause: thrown,
        },
      )
    throw thrown
  }
}
