/**
 * Vectors of all rows that were read lately, in memory: a map, then the neighbours of one row after another, then UMAP all ask
 * for the same ones, and reading 100,000 of them takes long. Only what is there of every row is kept: it can not change.
 */
import type { OpenCollection } from './collection'
import type { VectorChoice, VectorSlice } from './vectors'

const MOST_BYTES = 256 << 20
/** Given back when nobody asked for so long. */
const IDLE_MS = 5 * 60_000

interface Kept {
  slices: readonly VectorSlice[]
  bytes: number
}

/** In order of use, the last one last. */
const kept = new Map<string, Kept>()
let idle: NodeJS.Timeout | undefined

const keyOf = ({ folder }: OpenCollection, { output, position }: VectorChoice): string =>
  JSON.stringify([folder, output, position])

function used(): void {
  clearTimeout(idle)
  idle = setTimeout(() => kept.clear(), IDLE_MS)
  idle.unref()
}

/** The vectors of all rows; null where they are not at hand. */
export function keptVectors(collection: OpenCollection, choice: VectorChoice): readonly VectorSlice[] | null {
  const key = keyOf(collection, choice)
  const found = kept.get(key)
  if (found === undefined) return null
  kept.delete(key)
  kept.set(key, found)
  used()
  return found.slices
}

/** Keeps the vectors of all rows, instead of those that were not used for longest. */
export function keepVectors(
  collection: OpenCollection,
  choice: VectorChoice,
  slices: readonly VectorSlice[],
): void {
  const rows = slices.reduce((sum, slice) => sum + slice.rows.length, 0)
  const bytes = slices.reduce((sum, slice) => sum + slice.data.byteLength, 0)
  if (rows !== collection.length || bytes > MOST_BYTES) return
  kept.set(keyOf(collection, choice), { slices, bytes })
  let total = [...kept.values()].reduce((sum, each) => sum + each.bytes, 0)
  for (const [key, each] of kept) {
    if (total <= MOST_BYTES) break
    kept.delete(key)
    total -= each.bytes
  }
  used()
}

/** Those of some rows, ascending. */
export function* vectorsOfRows(slices: readonly VectorSlice[], rows: Int32Array): Generator<VectorSlice> {
  let next = 0
  for (const slice of slices) {
    const width = slice.data.length / slice.rows.length
    const places: number[] = []
    slice.rows.forEach((row, i) => {
      while (next < rows.length && rows[next] < row) next++
      if (rows[next] === row) places.push(i)
    })
    if (places.length === 0) continue
    const data = new Float32Array(places.length * width)
    places.forEach((place, i) => data.set(slice.data.subarray(place * width, (place + 1) * width), i * width))
    yield { rows: Int32Array.from(places, (place) => slice.rows[place]), data }
  }
}
