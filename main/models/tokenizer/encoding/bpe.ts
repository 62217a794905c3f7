/**
 * Byte-pair encoding of one word: the pair of neighbours with the lowest rank is merged, leftmost first, until none is
 * left (Sennrich et al. 2016). In typed arrays, since a word may have a million characters: the library's objects and
 * string keys need five seconds there, this half a second.
 */
import type { BpeDefinition } from '../definition'

const longestCached = 256
const cachedWords = 20_000
/** Positions in a heap key: a key is rank · 2^24 + position, exact in a double. */
const positions = 2 ** 24

export class Bpe {
  private readonly ranks = new Map<number, number>()
  private readonly stride: number
  private readonly unknownId: number | undefined
  private readonly cache = new Map<string, readonly number[]>()
  private readonly byteIds: readonly (number | undefined)[]

  constructor(private readonly definition: BpeDefinition) {
    const { merges, vocab, unknown } = definition
    let highest = 0
    for (const id of vocab.values()) highest = Math.max(highest, id)
    this.stride = highest + 1
    for (let rank = 0; rank < merges.length / 3; rank++)
      this.ranks.set(merges[3 * rank] * this.stride + merges[3 * rank + 1], rank)
    this.unknownId = unknown === null ? undefined : vocab.get(unknown)
    this.byteIds = Array.from({ length: 256 }, (_, byte) =>
      vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    )
  }

  /** Ids of a word. A character that has no token and no fallback has none in the result. */
  encode(word: string): readonly number[] {
    const whole = this.definition.ignoreMerges ? this.definition.vocab.get(word) : undefined
    if (whole !== undefined) return [whole]
    const known = this.cache.get(word)
    if (known !== undefined) return known
    const ids = this.merge(this.symbols(word))
    if (word.length <= longestCached) {
      if (this.cache.size >= cachedWords) this.cache.clear()
      this.cache.set(word, ids)
    }
    return ids
  }

  /** The ids a word starts from, one a character. */
  private symbols(word: string): number[] {
    const { vocab, byteFallback, fuseUnknown, continuingPrefix, endSuffix } = this.definition
    const ids: number[] = []
    let afterUnknown = false
    let at = 0
    for (const character of word) {
      const piece = (at === 0 ? '' : continuingPrefix) + character
      at += character.length
      const id = vocab.get(at === word.length ? piece + endSuffix : piece)
      const bytes = id === undefined && byteFallback ? this.bytes(character) : null
      if (id !== undefined) ids.push(id)
      else if (bytes !== null) ids.push(...bytes)
      else if (this.unknownId !== undefined && !(afterUnknown && fuseUnknown)) ids.push(this.unknownId)
      afterUnknown = id === undefined && bytes === null
    }
    return ids
  }

  /** The byte tokens of a character, or null unless the vocabulary has all of them. */
  private bytes(character: string): number[] | null {
    const ids: number[] = []
    for (const byte of new TextEncoder().encode(character)) {
      const id = this.byteIds[byte]
      if (id === undefined) return null
      ids.push(id)
    }
    return ids
  }

  private merge(symbols: number[]): number[] {
    const count = symbols.length
    if (count < 2) return symbols
    const { merges } = this.definition
    const ids = Int32Array.from(symbols)
    const next = Int32Array.from(symbols, (_, i) => i + 1)
    const previous = Int32Array.from(symbols, (_, i) => i - 1)
    const heap = new KeyHeap(count)
    const rankAt = (left: number): number | undefined => {
      const right = next[left]
      return right < count ? this.ranks.get(ids[left] * this.stride + ids[right]) : undefined
    }
    const offer = (left: number) => {
      const rank = rankAt(left)
      if (rank !== undefined) heap.push(rank * positions + left)
    }
    for (let i = 0; i + 1 < count; i++) offer(i)
    for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
      const left = key % positions
      const rank = (key - left) / positions
      // Outdated where the symbol was merged away (id −1) or its pair has changed since.
      if (ids[left] < 0 || rankAt(left) !== rank) continue
      const right = next[left]
      ids[left] = merges[3 * rank + 2]!
      ids[right] = -1
      next[left] = next[right]!
      if (next[left] < count) previous[next[left]] = left
      if (previous[left] >= 0) offer(previous[left])
      offer(left)
    }
    return Array.from(ids).filter((id) => id >= 0)
  }
}

/** A binary heap of numbers, smallest first. */
class KeyHeap {
  private keys: Float64Array
  private size = 0

  constructor(capacity: number) {
    this.keys = new Float64Array(Math.max(16, capacity))
  }

  push(key: number): void {
    if (this.size === this.keys.length) {
      const wider = new Float64Array(2 * this.size)
      wider.set(this.keys)
      this.keys = wider
    }
    const { keys } = this
    let at = this.size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (keys[parent] <= key) break
      keys[at] = keys[parent]!
      at = parent
    }
    keys[at] = key
  }

  pop(): number | undefined {
    if (this.size === 0) return undefined
    const { keys } = this
    const smallest = keys[0]
    const last = keys[--this.size]
    let at = 0
    for (let child = 1; child < this.size; child = 2 * at + 1) {
      if (child + 1 < this.size && keys[child + 1] < keys[child]) child++
      if (keys[child] >= last) break
      keys[at] = keys[child]!
      at = child
    }
    keys[at] = last
    return smallest
  }
}
