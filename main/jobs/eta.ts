/** How long is left: seconds a unit, smoothed so that single slow units do not throw the estimate about. */

/** Weight of what is older halves in this many seconds of work. */
const halfLifeSeconds = 30

export class Eta {
  #last: { readonly done: number; readonly at: number } | null = null
  #seconds = 0
  #units = 0

  /** @param now milliseconds of a clock that does not go back */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /**
   * Takes note that `done` of `total` units are done. Both elapsed time and units are averaged with weights that halve
   * every 30 seconds, and the rate is their quotient: Σ wᵢ·secondsᵢ / Σ wᵢ·unitsᵢ.
   * @returns seconds left, or null before two notes differ
   */
  update(done: number, total: number): number | null {
    const at = this.now()
    const last = this.#last
    if (last !== null && done < last.done) this.#seconds = this.#units = 0
    if (last === null || done <= last.done) {
      if (last === null || done < last.done) this.#last = { done, at }
    } else {
      const seconds = (at - last.at) / 1000
      const keep = 0.5 ** (seconds / halfLifeSeconds)
      this.#seconds = this.#seconds * keep + seconds
      this.#units = this.#units * keep + (done - last.done)
      this.#last = { done, at }
    }
    return this.#units === 0 ? null : Math.max(0, total - done) * (this.#seconds / this.#units)
  }
}
