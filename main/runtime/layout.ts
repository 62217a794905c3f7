/**
 * Which position each column of a batch stands for, and the inputs that follow from it: rotary angles and the attention
 * bias. They are computed once a run and shared by all blocks, so one compiled graph serves causal, windowed, padded and
 * cached runs alike.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { alibiTerms } from '../models/alibi'
import { inverseFrequencies, type RopeSpec } from '../models/rope'
import type { AlibiSpec, AttentionSpec } from '../models/spec'
import { floats } from './session'

/** Marks a column that holds no position of its row: a gap between a short prompt and what was generated behind it. */
export const GAP = -1

/** Columns of a batch. Queries are what a run computes; keys are the cached columns and then the queries. */
export interface Layout {
  readonly batch: number
  /** Columns computed by this run. */
  readonly queries: number
  /** Cached columns before them. */
  readonly past: number
  /** Position of each computed column, [batch, queries]; `GAP` for padding. */
  readonly queryPositions: Int32Array
  /** Position of each key column, [batch, past + queries]; `GAP` where there is nothing to attend to. */
  readonly keyPositions: Int32Array
  /** Real columns of each row among those computed. */
  readonly own: readonly number[]
  /** Tokens of each row once this run is done; some rotary scalings depend on it. */
  readonly lengths: readonly number[]
}

/** What is known of cached columns (see `KeyValueCache`). */
interface CachedColumns {
  readonly columns: number
  readonly keyPositions: Int32Array
  lengths(): number[]
}

/** The layout of rows with `own` new columns each, behind what is cached. */
export function layoutOf(own: readonly number[], cache?: CachedColumns, columns = Math.max(...own)): Layout {
  const batch = own.length
  const past = cache?.columns ?? 0
  const before = cache === undefined ? own.map(() => 0) : cache.lengths()
  // Without a cache, padding may count on: no real query looks that far, and all rows share one bias.
  const filled = past === 0 ? own.map(() => columns) : own
  const queryPositions = columnPositions(filled, columns, before)
  return {
    batch,
    queries: columns,
    past,
    own,
    lengths: own.map((length, row) => before[row] + length),
    queryPositions,
    keyPositions: joinColumns(batch, past, cache?.keyPositions, columns, queryPositions),
  }
}

/** Position of each column of a batch of rows of `lengths`, `GAP` behind a row's end. */
export function columnPositions(
  lengths: readonly number[],
  columns: number,
  first: readonly number[],
): Int32Array {
  return Int32Array.from({ length: lengths.length * columns }, (_, i) => {
    const row = Math.floor(i / columns)
    const column = i % columns
    return column < lengths[row] ? first[row] + column : GAP
  })
}

/** The columns [batch, past] and [batch, added] side by side. */
export function joinColumns(
  batch: number,
  past: number,
  before: Int32Array | undefined,
  added: number,
  positions: Int32Array,
): Int32Array {
  const joined = new Int32Array(batch * (past + added))
  for (let row = 0; row < batch; row++) {
    if (before !== undefined) joined.set(before.subarray(row * past, (row + 1) * past), row * (past + added))
    joined.set(positions.subarray(row * added, (row + 1) * added), row * (past + added) + past)
  }
  return joined
}

export class SharedInputs {
  readonly #angles = new Map<RopeSpec, { cos: OrtTensor; sin: OrtTensor }>()
  readonly #biases = new Map<string, OrtTensor>()
  readonly #uniform: boolean

  constructor(private readonly layout: Layout) {
    this.#uniform = rowsAgree(layout)
  }

  /** cos and sin [batch, queries, dim/2], scaled as the rotary embedding asks. */
  angles(rope: RopeSpec): { cos: OrtTensor; sin: OrtTensor } {
    const known = this.#angles.get(rope)
    if (known !== undefined) return known
    const { batch, queries, queryPositions, lengths } = this.layout
    const half = rope.dim / 2
    const cos = new Float32Array(batch * queries * half)
    const sin = new Float32Array(cos.length)
    for (let row = 0; row < batch; row++) {
      const { frequencies, factor } = inverseFrequencies(rope, lengths[row])
      for (let column = 0; column < queries; column++) {
        const position = Math.max(0, queryPositions[row * queries + column])
        const start = (row * queries + column) * half
        for (let i = 0; i < half; i++) {
          cos[start + i] = Math.cos(position * frequencies[i]) * factor
          sin[start + i] = Math.sin(position * frequencies[i]) * factor
        }
      }
    }
    const shape = [batch, queries, half]
    const made = { cos: floats(cos, shape), sin: floats(sin, shape) }
    this.#angles.set(rope, made)
    return made
  }

  /**
   * What is added to the scores, [1|batch, 1|head, queries, past + queries]: 0, ALiBi's penalty, or −∞ where a query
   * may not look: later positions, those outside its window, gaps.
   */
  bias(attention: AttentionSpec): OrtTensor {
    const { window, alibi } = attention
    const key = biasKey(attention)
    const known = this.#biases.get(key)
    if (known !== undefined) return known
    const made = this.#bias(window ?? Infinity, alibi)
    this.#biases.set(key, made)
    return made
  }

  #bias(window: number, alibi: AlibiSpec | null): OrtTensor {
    const { queries, past, queryPositions, keyPositions } = this.layout
    const batch = this.#uniform ? 1 : this.layout.batch
    const keys = past + queries
    const heads = alibi?.slopes.length ?? 1
    const data = new Float32Array(batch * heads * queries * keys)
    const farthest = Math.max(...queryPositions) + 1
    const terms = alibi?.slopes.map((_, head) => alibiTerms(alibi, head, farthest))
    let at = 0
    for (let row = 0; row < batch; row++)
      for (let head = 0; head < heads; head++)
        for (let q = 0; q < queries; q++) {
          const query = queryPositions[row * queries + q]
          for (let k = 0; k < keys; k++, at++) {
            const key = keyPositions[row * keys + k]
            const distance = query - key
            const visible = query !== GAP && key !== GAP && distance >= 0 && distance < window
            // A padding column sees itself, so that its softmax is a number; nothing reads it.
            if (visible) data[at] = terms === undefined ? 0 : terms[head][key] - terms[head][query]
            else data[at] = query === GAP && k === past + q ? 0 : -Infinity
          }
        }
    return floats(data, [batch, heads, queries, keys])
  }
}

/** Attention with equal keys has the same bias. */
export const biasKey = ({ window, alibi }: Pick<AttentionSpec, 'window' | 'alibi'>): string =>
  `${window}|${alibi === null ? '' : JSON.stringify(alibi)}`

/** Whether all rows have the same columns, so that one row's bias serves all. */
function rowsAgree({ batch, queries, past, queryPositions, keyPositions }: Layout): boolean {
  const keys = past + queries
  for (let row = 1; row < batch; row++) {
    for (let q = 0; q < queries; q++)
      if (queryPositions[row * queries + q] !== queryPositions[q]) return false
    for (let k = 0; k < keys; k++) if (keyPositions[row * keys + k] !== keyPositions[k]) return false
  }
  return true
}
