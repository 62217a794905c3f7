/** Arrays of runs that follow each other and are alike: what one is done with serves the next. */
import { giveBack } from './give-back'

/** Arrays of a size that wait at most: those that one graph gives out together. */
const MOST = 8

export class ArrayMemory {
  readonly #free = new Map<number, Set<Float32Array>>()

  /** An array of so many numbers, whatever they are. */
  take(size: number): Float32Array {
    const free = this.#free.get(size)
    const [array] = free ?? []
    if (array === undefined) return new Float32Array(size)
    free?.delete(array)
    return array
  }

  /** Takes arrays of which nothing may be read any more. */
  give(arrays: readonly Float32Array[]): void {
    const seen = new Set<ArrayBufferLike>()
    const rest: Float32Array[] = []
    for (const array of arrays) {
      if (seen.has(array.buffer)) continue
      seen.add(array.buffer)
      const free = this.#free.get(array.length) ?? new Set()
      this.#free.set(array.length, free)
      // A view of a part would give out what belongs to others.
      if (free.size < MOST && array.byteLength === array.buffer.byteLength) free.add(array)
      else rest.push(array)
    }
    giveBack(rest)
  }
}
