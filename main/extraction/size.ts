/** What an extraction will take on disk, and whether there is room for it. */
import { statfs } from 'node:fs/promises'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import { entryName, type EntryId } from '../cache/store/entry'
import { shardBytes } from '../cache/store/shard'
import type { ActivationStore } from '../cache/store/store'
import { valuesKey } from '../collections/collection'
import { haveAll, rowsTogether } from '../collections/look-up'
import type { StoredRow } from '../collections/schema'
import { entriesAt, Positions, type Patterns } from './entries'
import type { ExtractionPlan, PlannedOutput } from './plan'

const bytesOf = { float32: 4, float16: 2, bfloat16: 2, int8: 1 } as const

/** Sums up rows, by many at a time. Rows whose values are the same entries count once, as they are stored once. */
export class SizeSum {
  /** Of what is not there yet, and how many entries are there. */
  bytes = 0
  present = 0
  /** Hook points of which something is missing, by `valuesKey`; few different sets, which rows share. */
  readonly #missing = new Map<string, ReadonlySet<string>>()
  readonly #sets = new Map<string, ReadonlySet<string>>()

  constructor(
    private readonly plan: ExtractionPlan,
    private readonly patterns: Patterns,
    /** Null where there is no store: nothing is there then. */
    private readonly store: Pick<ActivationStore, 'has'> | null,
  ) {}

  /** Rows that are best given together. */
  get rowsTogether(): number {
    return rowsTogether(this.plan.outputs.length)
  }

  /**
   * Takes note of rows.
   * @returns for each the hook points of which something is missing
   * @throws PatchbayError `run.cancelled`, `file.unreadable`
   */
  async add(rows: readonly StoredRow[], signal?: AbortSignal): Promise<ReadonlySet<string>[]> {
    const keys = rows.map(valuesKey)
    const fresh = new Map<string, StoredRow>()
    for (const [i, row] of rows.entries())
      if (!this.#missing.has(keys[i]) && !fresh.has(keys[i])) fresh.set(keys[i], row)
    const positions = new Positions(this.patterns)
    const wanted = [...fresh].map(([key, row]) => ({ key, row, entries: this.#entriesOf(row, positions) }))
    const ids = wanted.flatMap(({ entries }) => entries.map(({ id }) => id))
    const found = this.store === null ? [] : await haveAll(this.store, ids, signal)
    let next = 0
    for (const { key, row, entries } of wanted) {
      const lacking = entries.filter(() => !(found[next++] ?? false))
      this.present += entries.length - lacking.length
      const sizes = lacking.map(({ id, elements }) => entrySize(id, elements))
      if (sizes.length > 0) this.bytes += shardBytes(sizes, 600 + 8 * row.tokens.length)
      this.#missing.set(key, this.#shared(lacking.map(({ hook }) => hook)))
    }
    return keys.map((key) => this.#missing.get(key) ?? this.#shared([]))
  }

  /** The entries of a row with their hook point, numbers, and those of the last axis. */
  #entriesOf(
    row: StoredRow,
    positions: Positions,
  ): { hook: string; id: EntryId; elements: [number, number] }[] {
    return this.plan.hooks.flatMap((hook) => {
      const elements = hook.groups.flatMap((group) => {
        const { length } = positions.of(group, row)
        return length === 0
          ? []
          : group.outputs.map((output) => elementsOf(output, length, row.tokens.length))
      })
      return entriesAt(hook, row, positions).map((id, i) => ({ hook: hook.name, id, elements: elements[i] }))
    })
  }

  #shared(hooks: readonly string[]): ReadonlySet<string> {
    const set = new Set(hooks)
    const name = [...set].join()
    const known = this.#sets.get(name) ?? set
    this.#sets.set(name, known)
    return known
  }
}

/** Numbers of a row at an output, and those of its last axis. */
function elementsOf({ dims, sizes }: PlannedOutput, positions: number, length: number): [number, number] {
  const own = dims.map((dim, axis) => sizes[axis] ?? (dim === 'k_pos' ? length : positions))
  return [own.reduce((product, n) => product * n, 1), own[own.length - 1]]
}

function entrySize(id: EntryId, [elements, width]: [number, number]) {
  return {
    name: entryName(id),
    bytes: elements * bytesOf[id.dtype],
    scaleBytes: id.dtype === 'int8' ? (elements / width) * 4 : 0,
  }
}

export interface Room {
  /** Bytes that may still be stored: what the quota and the disk leave, when everything goes that may go. */
  free: number
  /** Of these, bytes that are only free once older values are removed. */
  evictable: number
  quota: number
}

/** @throws PatchbayError `disk.failed`, `file.unreadable` */
export async function roomIn(store: ActivationStore): Promise<Room> {
  const sets = await store.list()
  const sum = (pinned: boolean): number =>
    sets.filter(({ label }) => label.pinned === pinned).reduce((bytes, set) => bytes + set.bytes, 0)
  const { quota } = store.statistics()
  const [pinned, evictable] = [sum(true), sum(false)]
  const onDisk = (await freeBytes(store.root)) + evictable
  return { free: Math.max(0, Math.min(quota - pinned, onDisk)), evictable, quota }
}

async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch (error) {
    const problem = asPatchbayError(error)
    // Before the first value there is no folder.
    if (problem.code === 'file.missing') return Infinity
    throw problem
  }
}

/** @throws PatchbayError `disk.full` where the values will not fit */
export function requireRoom(bytes: number, { free, quota }: Room): void {
  if (bytes <= free) return
  throw new PatchbayError(
    'disk.full',
    `The extraction would take ${gigabytes(bytes)} GB, but there is room for ${gigabytes(free)} GB in the activation store (its quota is ${gigabytes(quota)} GB).`,
    {
      next: 'Extract fewer hook points or positions, or a smaller dtype; or allow the store more (patchbay cache gc --quota) and resume.',
    },
  )
}

export const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(bytes < 1e8 ? 4 : 2)
