/** What an extraction will take on disk, and whether there is room for it. */
import { statfs } from 'node:fs/promises'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import { entryName, type EntryId } from '../cache/store/entry'
import { shardBytes } from '../cache/store/shard'
import type { ActivationStore } from '../cache/store/store'
import type { StoredRow } from '../collections/schema'
import { entriesAt, positionsAt, type Patterns } from './entries'
import type { ExtractionPlan, PlannedOutput } from './plan'

const bytesOf = { float32: 4, float16: 2, bfloat16: 2, int8: 1 } as const

/** Sums up rows. */
export class SizeSum {
  /** Of what is not there yet, and how many entries are there. */
  bytes = 0
  present = 0

  constructor(
    private readonly plan: ExtractionPlan,
    private readonly patterns: Patterns,
    /** Null where there is no store: nothing is there then. */
    private readonly store: Pick<ActivationStore, 'has'> | null,
  ) {}

  /** Takes note of a row. @returns the hook points of which something is missing */
  async add(row: StoredRow): Promise<Set<string>> {
    const missing = new Set<string>()
    const entries: { name: string; bytes: number; scaleBytes: number }[] = []
    const idsAt = this.plan.hooks.map((hook) => entriesAt(hook, row, this.patterns))
    // Of all hook points at once: each time it is asked the store may have to look at its folder.
    const all = idsAt.flat()
    const found = ((await this.store?.has(all)) ?? all.map(() => false)).values()
    for (const [h, hook] of this.plan.hooks.entries()) {
      const sizes = hook.groups.flatMap((group) => {
        const positions = positionsAt(group, row, this.patterns).length
        return positions === 0
          ? []
          : group.outputs.map((output) => elementsOf(output, positions, row.tokens.length))
      })
      for (const [i, id] of idsAt[h].entries()) {
        if (found.next().value === true) this.present++
        else {
          missing.add(hook.name)
          entries.push(entrySize(id, sizes[i]))
        }
      }
    }
    if (entries.length > 0) this.bytes += shardBytes(entries, 600 + 8 * row.tokens.length)
    return missing
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
