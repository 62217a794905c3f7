/**
 * How many tokens a wave should hold on this machine: measured while sweeps run. Too few waste the time in which weights
 * are read, too many fall out of the processor's caches.
 */

/** Remembers a size from one start of the program to the next. */
export interface SizeMemory {
  /** null where there is none. */
  read(): Promise<number | null>
  write(tokens: number): Promise<void>
}

/** Sizes that are tried. */
const sizes = [512, 1024, 2048]
const USUAL = 1024
/** A first wave may compile, so each size is measured more than once. */
const TIMES = 3

export class WaveSize {
  /** Tokens times blocks in a second, the best of some waves, by size. */
  readonly #rates = new Map<number, { best: number; times: number }>()
  #most = Infinity
  #known: number | null = null
  #loaded = false

  constructor(private readonly memory: SizeMemory | null = null) {}

  /** Reads what was remembered. */
  async load(): Promise<void> {
    if (this.#loaded) return
    this.#loaded = true
    this.#known = (await this.memory?.read()) ?? null
  }

  /**
   * Tokens of the next wave: a size that was not measured often enough, where there is work for it, else the fastest.
   * @param remaining tokens that are still to run
   */
  next(remaining: number): number {
    const times = (size: number): number => this.#rates.get(size)?.times ?? 0
    const open = this.#known === null ? sizes.filter((size) => times(size) < TIMES && size <= remaining) : []
    const least = open.reduce((best, size) => (times(size) < times(best) ? size : best), open[0])
    return Math.min(this.#most, least ?? this.#known ?? USUAL)
  }

  /**
   * A wave has run. What memory is short for is not remembered.
   * @param size as `next` gave it
   * @param tokens that it held
   * @param work its tokens times the blocks that they went through
   */
  async measured(size: number, tokens: number, work: number, seconds: number): Promise<void> {
    // Waves that are not nearly full, or run through few blocks, say little.
    if (this.#known !== null || tokens < 0.8 * size || work < 4 * tokens || seconds <= 0) return
    const before = this.#rates.get(size) ?? { best: 0, times: 0 }
    this.#rates.set(size, { best: Math.max(before.best, work / seconds), times: before.times + 1 })
    if (!sizes.every((one) => (this.#rates.get(one)?.times ?? 0) >= TIMES)) return
    const rate = (one: number): number => this.#rates.get(one)?.best ?? 0
    this.#known = sizes.reduce((best, one) => (rate(one) > rate(best) ? one : best))
    await this.memory?.write(this.#known)
  }

  /** Memory was exhausted by a wave of this many tokens: later ones hold half. */
  exhausted(tokens: number): void {
    this.#most = Math.max(1, Math.floor(Math.min(tokens, this.#most) / 2))
  }
}
