/**
 * How many tokens go into a batch: more as long as that is faster, never more than memory has room for, fewer when it
 * turns out to be short. Larger batches use the machine better up to some size, and the size depends on the machine.
 */

/** Tokens of the first batches. */
const FIRST = 512
/** A larger batch has to be this much faster to stay. */
const WORTH = 1.03
/** Batches that are measured at each size, and how full they must be. */
const MEASURED = 2
const FULL = 0.75

export class Pace {
  #tokens: number
  #most: number
  /** Of the size before: its tokens a second; null before there was one. */
  #before: { readonly tokens: number; readonly rate: number } | null = null
  #seconds = 0
  #done = 0
  #batches = 0
  #warm = false
  #settled = false

  /** @param most tokens of a batch that memory has room for */
  constructor(most: number, first = FIRST) {
    this.#most = Math.max(1, Math.floor(most))
    this.#tokens = Math.min(first, this.#most)
  }

  /** Tokens that the next batch may have. */
  get tokens(): number {
    return this.#tokens
  }

  /** Tokens that memory has room for, as far as that is known. */
  get most(): number {
    return this.#most
  }

  /** Takes note of a batch that was computed. @param padded tokens with padding */
  note(padded: number, seconds: number): void {
    // The first batch compiles what it needs.
    if (!this.#warm) {
      this.#warm = true
      return
    }
    if (this.#settled || padded < FULL * this.#tokens) return
    this.#seconds += seconds
    this.#done += padded
    if (++this.#batches < MEASURED) return
    const rate = this.#done / this.#seconds
    const before = this.#before
    this.#seconds = this.#done = this.#batches = 0
    if (before !== null && rate < WORTH * before.rate) {
      this.#tokens = before.tokens
      this.#settled = true
      return
    }
    this.#before = { tokens: this.#tokens, rate }
    this.#settled = 2 * this.#tokens > this.#most
    if (!this.#settled) this.#tokens *= 2
  }

  /**
   * A batch did not fit into memory: smaller ones from now on.
   * @param padded tokens that the batch had, with padding
   */
  shrink(padded: number): void {
    this.#most = Math.max(1, Math.floor(padded / 2))
    this.#tokens = Math.min(this.#tokens, this.#most)
    this.#settled = true
  }
}
