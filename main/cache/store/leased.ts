/** Something that several readers use at once and that is closed when it was given up and the last of them is done. */

interface Closable {
  close(): Promise<void>
}

export class Leased<T extends Closable> {
  private users = 0
  private retired = false
  private done: () => void = () => undefined

  constructor(private readonly value: T) {}

  /** Runs `work` with the value, which stays open for it. */
  async use<R>(work: (value: T) => Promise<R>): Promise<R> {
    const { value, release } = this.hold()
    try {
      return await work(value)
    } finally {
      release()
    }
  }

  /** The value, open until `release` is called (once). */
  hold(): { value: T; release: () => void } {
    this.users++
    const release = (): void => {
      if (--this.users === 0) this.done()
    }
    return { value: this.value, release }
  }

  /** Closes as soon as nobody uses it. */
  async retire(): Promise<void> {
    if (this.retired) return
    this.retired = true
    if (this.users > 0) await new Promise<void>((resolve) => (this.done = resolve))
    await this.value.close()
  }
}
