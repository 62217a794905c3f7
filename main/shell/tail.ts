/** The end of a stream of text: what a process wrote last before it died. */

export class Tail {
  #text = ''

  /** @param limit characters kept */
  constructor(private readonly limit = 16_384) {}

  add(text: string): void {
    const all = this.#text + text
    this.#text = all.length <= this.limit ? all : all.slice(all.length - this.limit)
  }

  clear(): void {
    this.#text = ''
  }

  /** Whole lines only, once something has been cut off. */
  get text(): string {
    if (this.#text.length < this.limit) return this.#text
    return this.#text.slice(this.#text.indexOf('\n') + 1)
  }
}
