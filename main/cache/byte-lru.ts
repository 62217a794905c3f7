/** A map bounded by bytes: what was used longest ago goes first. */

export class ByteLru<V> {
  private readonly entries = new Map<string, V>()
  private total = 0

  /**
   * @param maxBytes bound on the sum of all entries
   * @param sizeOf bytes that an entry keeps in memory
   */
  constructor(
    private readonly maxBytes: number,
    private readonly sizeOf: (value: V) => number,
  ) {}

  get bytes(): number {
    return this.total
  }

  get size(): number {
    return this.entries.size
  }

  /** The entry, which is then the most recently used one. */
  get(key: string): V | undefined {
    const value = this.entries.get(key)
    if (value === undefined) return undefined
    this.entries.delete(key)
    this.entries.set(key, value)
    return value
  }

  /** Keeps an entry, dropping others for it; one larger than the bound is not kept. */
  set(key: string, value: V): void {
    this.delete(key)
    const bytes = this.sizeOf(value)
    if (bytes > this.maxBytes) return
    this.entries.set(key, value)
    this.total += bytes
    for (const oldest of this.entries.keys()) {
      if (this.total <= this.maxBytes) break
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const value = this.entries.get(key)
    if (value === undefined) return
    this.entries.delete(key)
    this.total -= this.sizeOf(value)
  }

  /** Drops all entries whose key begins with `prefix`. */
  deleteWithPrefix(prefix: string): void {
    for (const key of [...this.entries.keys()]) if (key.startsWith(prefix)) this.delete(key)
  }
}
