/**
 * How a wave's tokens become columns of attention, the same in every block. Keys are all columns: before a row's beginning
 * the base run's. Queries are only the last columns, as many as the longest row has, or those that are read.
 */
import { Tensor as OrtTensor } from 'onnxruntime-node'
import type { RopeSpec } from '../../models/rope'
import type { AttentionSpec, TransformerSpec } from '../../models/spec'
import { layoutOf, SharedInputs } from '../layout'
import { floatData, floats, type Feeds } from '../session'

/** A row's tokens: from its first position on, at this offset among the wave's. */
export interface RowTokens {
  readonly start: number
  readonly offset: number
}

/** A token that is read, with its row and the number of its read. */
export interface ReadToken {
  readonly row: number
  readonly read: number
  readonly token: number
}

/** Which columns have queries. */
type Queries = 'whole' | 'reads'

export class WaveColumns {
  readonly #one: SharedInputs
  /** First column of queries. */
  readonly #first: number
  readonly #queryAt: BigInt64Array
  readonly #keyAt: BigInt64Array
  readonly #columnOf: BigInt64Array
  /** Of all rows, by rotary embedding and whose they are. */
  readonly #angles = new Map<string, Float32Array>()
  /** Of these queries, by the bias of all. */
  readonly #biases = { whole: new Map<OrtTensor, OrtTensor>(), reads: new Map<OrtTensor, OrtTensor>() }

  /**
   * @param rows in the order in which they join
   * @param columns of keys
   * @param length of the base's prompt: some rotary scalings depend on it
   */
  constructor(
    private readonly spec: TransformerSpec,
    private readonly rows: readonly RowTokens[],
    private readonly columns: number,
    length: number,
    private readonly reads: readonly number[],
  ) {
    this.#one = new SharedInputs({ ...layoutOf([columns]), lengths: [length] })
    this.#first = rows.reduce((least, { start }) => Math.min(least, start), columns - 1)
    const queries = columns - this.#first
    this.#queryAt = new BigInt64Array(rows.length * queries)
    this.#keyAt = new BigInt64Array(rows.length * columns)
    this.#columnOf = new BigInt64Array(this.tokens(rows.length))
    rows.forEach(({ start, offset }, row) => {
      for (let column = 0; column < start; column++) this.#keyAt[row * columns + column] = BigInt(column)
      for (let column = start; column < columns; column++) {
        const token = offset + column - start
        const query = row * queries + column - this.#first
        this.#keyAt[row * columns + column] = BigInt(columns + token)
        this.#queryAt[query] = BigInt(token)
        this.#columnOf[token] = BigInt(query)
      }
    })
  }

  /** Tokens of the first `count` rows. */
  tokens(count: number): number {
    if (count === 0) return 0
    const { start, offset } = this.rows[count - 1]
    return offset + this.columns - start
  }

  /** Feeds of a block in which all tokens of the first `active` rows go on. */
  whole(attention: AttentionSpec, active: number): Feeds {
    const queries = this.columns - this.#first
    const tokens = this.tokens(active)
    const positions = Array.from({ length: queries }, (_, i) => this.#first + i)
    return {
      ...this.#shared(attention, active, 'whole', positions),
      query_at: indices(this.#queryAt.subarray(0, active * queries), [active, queries]),
      column_of: indices(this.#columnOf.subarray(0, tokens), [tokens]),
    }
  }

  /** Feeds of a block of whose tokens only those that are read go on. */
  trimmed(attention: AttentionSpec, active: number, kept: readonly ReadToken[]): Feeds {
    const { reads } = this
    const queryAt = new BigInt64Array(active * reads.length)
    const columnOf = new BigInt64Array(kept.length)
    kept.forEach(({ row, read }, i) => {
      queryAt[row * reads.length + read] = BigInt(i)
      columnOf[i] = BigInt(row * reads.length + read)
    })
    return {
      ...this.#shared(attention, active, 'reads', reads),
      query_at: indices(queryAt, [active, reads.length]),
      column_of: indices(columnOf, [kept.length]),
      kept: indices(
        BigInt64Array.from(kept, ({ token }) => BigInt(token)),
        [kept.length],
      ),
    }
  }

  /** What goes with queries at these positions, in the first `active` rows. */
  #shared(attention: AttentionSpec, active: number, which: Queries, positions: readonly number[]): Feeds {
    const { columns } = this
    const feeds: Feeds = {
      bias: this.#bias(attention, which, positions),
      key_at: indices(this.#keyAt.subarray(0, active * columns), [active, columns]),
    }
    if (attention.rope === null) return feeds
    const rope = this.spec.ropes[attention.rope]
    const half = rope.dim / 2
    const every = Array.from({ length: columns }, (_, i) => i)
    for (const [prefix, whose, at] of [
      ['', 'keys', every],
      ['query_', which, positions],
    ] as const)
      for (const part of ['cos', 'sin'] as const) {
        const angles = this.#angle(rope, attention.rope, part, whose, at)
        const shape = [active, at.length, half]
        feeds[prefix + part] = floats(angles.subarray(0, active * at.length * half), shape)
      }
    return feeds
  }

  #angle(
    rope: RopeSpec,
    index: number,
    part: 'cos' | 'sin',
    whose: string,
    positions: readonly number[],
  ): Float32Array {
    const key = `${index} ${part} ${whose}`
    const known = this.#angles.get(key)
    if (known !== undefined) return known
    const half = rope.dim / 2
    const all = floatData(this.#one.angles(rope)[part])
    const one = picked(all, positions, half)
    const repeated = new Float32Array(this.rows.length * one.length)
    for (let row = 0; row < this.rows.length; row++) repeated.set(one, row * one.length)
    this.#angles.set(key, repeated)
    return repeated
  }

  /** The rows [1, 1|head, positions, columns] of these queries. */
  #bias(attention: AttentionSpec, which: Queries, positions: readonly number[]): OrtTensor {
    const whole = this.#one.bias(attention)
    const known = this.#biases[which].get(whole)
    if (known !== undefined) return known
    const { columns } = this
    const heads = whole.dims[1]
    const data = floatData(whole)
    const rows = new Float32Array(heads * positions.length * columns)
    for (let head = 0; head < heads; head++) {
      const own = data.subarray(head * columns * columns, (head + 1) * columns * columns)
      rows.set(picked(own, positions, columns), head * positions.length * columns)
    }
    const bias = floats(rows, [1, heads, positions.length, columns])
    this.#biases[which].set(whole, bias)
    return bias
  }
}

const indices = (data: BigInt64Array, shape: readonly number[]): OrtTensor =>
  new OrtTensor('int64', data, shape)

/** Rows of a table [rows, width]. */
function picked(table: Float32Array, rows: readonly number[], width: number): Float32Array {
  const part = new Float32Array(rows.length * width)
  rows.forEach((row, i) => part.set(table.subarray(row * width, (row + 1) * width), i * width))
  return part
}
