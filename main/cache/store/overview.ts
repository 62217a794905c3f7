/** What is in a store: its sets, and how much of everything there is. */
import type { Label } from './labels'
import type { Usage } from './usage'
import type { WriterParts } from './writer'

export interface StoredSet {
  set: string
  label: Label
  entries: number
  bytes: number
  shards: number
  /** ISO 8601. */
  lastUsed: string
}

export interface StoreStatistics {
  entries: number
  bytes: number
  quota: number
  /** Entries and shards set aside. */
  damaged: number
  /** Shards of a later format. */
  foreign: number
}

/** Sets with their labels, those used last first. */
export async function listSets(
  { index }: WriterParts,
  labels: ReadonlyMap<string, Label>,
  usage: Usage,
): Promise<StoredSet[]> {
  const sets = new Map<string, Omit<StoredSet, 'lastUsed'> & { used: number }>()
  for (const { id, set, entries, bytes } of index.shards()) {
    const label = labels.get(set) ?? { pinned: false }
    const sum = sets.get(set) ?? { set, label, entries: 0, bytes: 0, shards: 0, used: 0 }
    sum.entries += entries
    sum.bytes += bytes
    sum.shards++
    sum.used = Math.max(sum.used, await usage.usedAt(id))
    sets.set(set, sum)
  }
  return [...sets.values()]
    .sort((a, b) => b.used - a.used)
    .map(({ used, ...set }) => ({ ...set, lastUsed: new Date(used).toISOString() }))
}

export function statisticsOf({ index, quarantine }: WriterParts, quota: number): StoreStatistics {
  const shards = index.shards()
  return {
    entries: shards.reduce((sum, { entries }) => sum + entries, 0),
    bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0),
    quota,
    damaged: quarantine.size,
    foreign: index.foreign.size,
  }
}
