/**
 * Looking up many entries of the activation store. They are asked for in the order of its index, each once: neighbours lie
 * in the same block of the index, which is then read and checked for all of them.
 */
import { setImmediate } from 'node:timers/promises'
import { entryKey, entryName, type EntryId, type Located } from '../cache/store/entry'
import type { ActivationStore } from '../cache/store/store'
import { throwIfCancelled } from '../runtime/cancelled'

/** Entries that are worth collecting for one look-up: more would take memory, fewer would share hardly any block. */
const TOGETHER = 1 << 15

/** Rows with so many outputs that are best looked up together. */
export const rowsTogether = (outputs: number): number =>
  Math.max(1, Math.floor(TOGETHER / Math.max(1, outputs)))

/** Entries between two turns of the event loop: what is in memory is found without ever waiting. */
const TURN = 4096

/** Whether each entry is there. @throws PatchbayError `run.cancelled`, `file.unreadable` */
export const haveAll = (
  store: Pick<ActivationStore, 'has'>,
  ids: readonly EntryId[],
  signal?: AbortSignal,
): Promise<boolean[]> => lookUp(ids, (some) => store.has(some), signal)

/** What is known of each entry, null where it is not there. @throws PatchbayError `run.cancelled`, `file.unreadable` */
export const findAll = (
  store: Pick<ActivationStore, 'find'>,
  ids: readonly EntryId[],
  signal?: AbortSignal,
): Promise<(Located | null)[]> =>
  lookUp(
    ids,
    async (some) => {
      const found: (Located | null)[] = []
      for (const id of some) found.push(await store.find(id))
      return found
    },
    signal,
  )

async function lookUp<T>(
  ids: readonly EntryId[],
  look: (ids: EntryId[]) => Promise<T[]>,
  signal?: AbortSignal,
): Promise<T[]> {
  const keys = ids.map((id) => entryKey(entryName(id)))
  const places = new Map<string, number[]>()
  for (const [i, key] of keys.entries()) {
    const known = places.get(key)
    if (known === undefined) places.set(key, [i])
    else known.push(i)
  }
  const ordered = [...places.keys()].sort()
  const found: T[] = []
  for (let start = 0; start < ordered.length; start += TURN) {
    throwIfCancelled(signal)
    const some = ordered.slice(start, start + TURN).map((key) => places.get(key) ?? [])
    const answers = await look(some.map(([first]) => ids[first]))
    for (const [i, same] of some.entries()) for (const place of same) found[place] = answers[i]
    await setImmediate()
  }
  return found
}
