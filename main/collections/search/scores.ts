/**
 * The numbers of a search: one a position, in the order of rows. Four bytes a position are kept, where the values that they
 * come from take thousands; everything that is told of them is computed from these.
 */
import { PatchbayError } from '../../../preload/errors'

/** Positions that are searched at most: 400 MB of numbers. */
const MOST_POSITIONS = 100_000_000

export class Scores {
  /** Rows that have some, where theirs begin, and behind the last the end. */
  readonly rows: number[] = []
  readonly starts: number[] = [0]
  private buffer = new Float32Array(1 << 16)

  get length(): number {
    return this.starts[this.starts.length - 1]
  }

  /** All of them. */
  get values(): Float32Array {
    return this.buffer.subarray(0, this.length)
  }

  /** @throws PatchbayError `memory.exhausted` */
  add(row: number, scores: Float32Array): void {
    const end = this.length + scores.length
    if (end > MOST_POSITIONS)
      throw new PatchbayError(
        'memory.exhausted',
        `There are more than ${MOST_POSITIONS} positions to search.`,
        {
          field: 'filter',
          next: 'Set a filter, for example row < 100000.',
        },
      )
    if (end > this.buffer.length) {
      const larger = new Float32Array(Math.max(end, 2 * this.buffer.length))
      larger.set(this.values)
      this.buffer = larger
    }
    this.buffer.set(scores, this.length)
    this.rows.push(row)
    this.starts.push(end)
  }

  /** Of the i-th row that has some. */
  of(i: number): Float32Array {
    return this.buffer.subarray(this.starts[i], this.starts[i + 1])
  }
}
