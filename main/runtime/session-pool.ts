/**
 * Compiled sessions by key. Those that every run needs stay; others are made when a run asks for them, and the least
 * recently used of them are released when together they exceed their share of memory.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../preload/errors'
import type { Feeds, Session } from './session'

export interface PoolKey {
  /** Equal keys share a session. */
  readonly key: string
  /** Bytes that it counts with; null for one that stays. */
  readonly bytes: number | null
}

interface Entry {
  readonly session: Promise<Session>
  readonly bytes: number
  /** Runs that use it now: it must not be released under them. */
  users: number
}

/** A session for the time of a run; `done` gives it back. */
export interface SessionLease {
  readonly session: Session
  readonly done: () => Promise<void>
}

/** Measured: a session without its weights. */
export const SESSION_BYTES = 2 ** 20

export class SessionPool {
  /** In order of use, least recent first. */
  readonly #entries = new Map<string, Entry>()
  readonly #limit: number
  /** Of those that do not stay. */
  #bytes = 0
  #released = false

  /** @param limit bytes that the sessions that do not stay may take; a run under way may exceed it */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Sessions that are compiled now. */
  get count(): number {
    return this.#entries.size
  }

  /** A session, compiled if there is none. @throws PatchbayError `model.not-open`, and what `compile` throws */
  async lease({ key, bytes }: PoolKey, compile: () => Promise<Session>): Promise<SessionLease> {
    if (this.#released)
      throw new PatchbayError('model.not-open', 'The model was closed.', { next: 'Open it again.' })
    const entry = this.#entries.get(key) ?? this.#add(compile, bytes)
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    entry.users++
    try {
      const session = await entry.session
      return { session, done: () => this.#giveBack(key, entry) }
    } catch (error) {
      entry.users--
      if (this.#entries.get(key) === entry) {
        this.#entries.delete(key)
        this.#bytes -= entry.bytes
      }
      throw error
    }
  }

  /** Releases all sessions, once the runs that use them are done with them. */
  async release(): Promise<void> {
    this.#released = true
    const idle = [...this.#entries].filter(([, entry]) => entry.users === 0)
    await Promise.all(idle.map(([key, entry]) => this.#drop(key, entry)))
  }

  /** Room is made before it is compiled. */
  #add(compile: () => Promise<Session>, bytes: number | null): Entry {
    const session = Promise.resolve()
      .then(() => this.#evict())
      .then(compile)
    const entry = { session, bytes: bytes === null ? 0 : SESSION_BYTES + bytes, users: 0 }
    this.#bytes += entry.bytes
    return entry
  }

  /** Releases the sessions that do not stay and that no run uses, whether there is room for them or not. */
  async trim(): Promise<void> {
    for (const [key, entry] of this.#entries)
      if (entry.bytes > 0 && entry.users === 0) await this.#drop(key, entry)
  }

  async #giveBack(key: string, entry: Entry): Promise<void> {
    entry.users--
    if (!this.#released) await this.#evict()
    else if (entry.users === 0) await this.#drop(key, entry)
  }

  async #evict(): Promise<void> {
    for (const [key, entry] of this.#entries) {
      if (this.#bytes <= this.#limit) return
      if (entry.bytes > 0 && entry.users === 0) await this.#drop(key, entry)
    }
  }

  async #drop(key: string, entry: Entry): Promise<void> {
    if (this.#entries.get(key) === entry) this.#entries.delete(key)
    this.#bytes -= entry.bytes
    await (await entry.session).release()
  }
}

/** As `runLeased`, with outputs written into tensors that are there. */
export async function runLeasedInto(
  { session, done }: SessionLease,
  feeds: Feeds,
  outputs: Feeds,
): Promise<void> {
  try {
    await session.runInto(feeds, outputs)
  } finally {
    await done()
  }
}

/** Runs a session and gives it back, whether it succeeds or not. */
export async function runLeased(
  { session, done }: SessionLease,
  feeds: Feeds,
  outputs: readonly string[],
): Promise<Record<string, OrtTensor>> {
  try {
    return await session.run(feeds, outputs)
  } finally {
    await done()
  }
}
