/** How often something may be restarted by itself: a crash loop must end in a question, not in a busy machine. */

export class RestartBudget {
  readonly #spent: number[] = []

  /**
   * @param now monotonic time in milliseconds
   * @param limit restarts granted within any `windowMs`
   */
  constructor(
    private readonly now: () => number,
    private readonly limit = 3,
    private readonly windowMs = 5 * 60_000,
  ) {}

  /** Takes one restart if there is one left; false when the budget is used up. */
  spend(): boolean {
    const time = this.now()
    while (this.#spent[0] !== undefined && time - this.#spent[0] >= this.windowMs) this.#spent.shift()
    if (this.#spent.length >= this.limit) return false
    this.#spent.push(time)
    return true
  }

  reset(): void {
    this.#spent.length = 0
  }
}
