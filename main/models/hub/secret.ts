/** An access token that no log, error or JSON shows: it comes out only where a request header is made. */
import { PatchbayError } from '../../../preload/errors'

export class Secret {
  readonly #value: string

  /** @throws PatchbayError `input.invalid` for what can not stand in a header; the message does not say the value */
  constructor(value: string, from: string) {
    if (!/^[\x21-\x7e]{1,4096}$/.test(value))
      throw new PatchbayError(
        'input.invalid',
        `The access token in ${from} is not one: it has spaces or signs that tokens lack.`,
        {
          next: 'Copy the token again, or unset it to ask without one.',
        },
      )
    this.#value = value
  }

  /** The `Authorization` header. */
  bearer(): string {
    return `Bearer ${this.#value}`
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }
}
