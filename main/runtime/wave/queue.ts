/**
 * Which sites go together. Attention computes as many queries in each row as the longest row of a wave has, so of the sites
 * that are next, those that begin at about the same position make a wave.
 */

/** Waves' worth of sites that are looked at together. */
const AHEAD = 4
/** A wave may hold so much more, where less than a wave would be left. */
const ROOM = 1.25

export class SiteQueue {
  /** Sites that are looked at, by falling number of tokens. */
  #window: number[] = []
  #next = 0
  #tokens = 0

  /** @param tokensOf by place in the list */
  constructor(
    private readonly count: number,
    private readonly tokensOf: (place: number) => number,
  ) {
    for (let place = 0; place < count; place++) this.#tokens += tokensOf(place)
  }

  /** That are still to run. */
  get tokens(): number {
    return this.#tokens
  }

  /** The next sites of about so many tokens together, at least one. */
  take(tokens: number): number[] {
    if (this.#window.length === 0) this.#look(this.#next === 0 ? tokens : AHEAD * tokens)
    const inWindow = this.#window.reduce((sum, place) => sum + this.tokensOf(place), 0)
    const most = inWindow <= ROOM * tokens ? inWindow : tokens
    const wave: number[] = []
    let held = 0
    for (const place of this.#window) {
      if (wave.length > 0 && held + this.tokensOf(place) > most) break
      held += this.tokensOf(place)
      wave.push(place)
    }
    this.#window = this.#window.slice(wave.length)
    this.#tokens -= held
    return wave
  }

  /** Takes back what could not be run. */
  putBack(wave: readonly number[]): void {
    this.#window = [...wave, ...this.#window]
    for (const place of wave) this.#tokens += this.tokensOf(place)
  }

  /** Sites of so many tokens, in the order of the list, at least one. */
  #look(tokens: number): void {
    let held = 0
    for (; this.#next < this.count; this.#next++) {
      if (this.#window.length > 0 && held + this.tokensOf(this.#next) > tokens) break
      held += this.tokensOf(this.#next)
      this.#window.push(this.#next)
    }
    this.#window.sort((a, b) => this.tokensOf(b) - this.tokensOf(a) || a - b)
  }
}
