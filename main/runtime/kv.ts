/**
 * Keys and values of earlier positions, so that a run computes only the positions after them: decoding, and patching runs
 * that start from a base run's cache before a position. A cache is immutable; a run that extends one returns a new one.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../preload/errors'
import { giveBack } from './give-back'
import { columnPositions, joinColumns, type Layout } from './layout'
import { floatData, floats } from './session'

/** Of one block: [batch, kv_head, columns, d_head]. Keys as used in the product: after norm, rotary and interventions. */
export interface LayerCache {
  readonly key: OrtTensor
  readonly value: OrtTensor
}

export class KeyValueCache {
  /**
   * @param columns cached columns of every row
   * @param keyPositions position of each column, [batch, columns], `GAP` where a row has none
   * @param layers by layer; null for a layer that the run did not compute
   */
  constructor(
    readonly batch: number,
    readonly columns: number,
    readonly keyPositions: Int32Array,
    readonly layers: readonly (LayerCache | null)[],
  ) {}

  /**
   * The cache after a run: what was cached before it, and behind that the run's own columns.
   * @param layers keys and values of all columns, by layer
   */
  static after(
    { batch, past, queries, own, lengths }: Layout,
    before: KeyValueCache | undefined,
    layers: readonly (LayerCache | null)[],
  ): KeyValueCache {
    const first = lengths.map((length, row) => length - own[row])
    const added = columnPositions(own, queries, first)
    const keyPositions = joinColumns(batch, past, before?.keyPositions, queries, added)
    return new KeyValueCache(batch, past + queries, keyPositions, layers)
  }

  static empty(batch: number): KeyValueCache {
    return new KeyValueCache(batch, 0, new Int32Array(0), [])
  }

  /** Tokens that each row has seen. */
  lengths(): number[] {
    return Array.from({ length: this.batch }, (_, row) => {
      const columns = this.keyPositions.subarray(row * this.columns, (row + 1) * this.columns)
      return columns.reduce((longest, position) => Math.max(longest, position + 1), 0)
    })
  }

  /** Bytes that keys and values take. */
  get bytes(): number {
    return this.layers.reduce(
      (sum, layer) => sum + (layer === null ? 0 : 4 * (layer.key.size + layer.value.size)),
      0,
    )
  }

  /** Gives its memory back; nothing may read it afterwards, nor a cache that it was picked from whole. */
  release(): void {
    giveBack(this.layers.flatMap((layer) => (layer === null ? [] : [layer.key, layer.value])).map(floatData))
  }

  /** The first `columns` columns of every row: what a run saw before that position, where rows are not padded. */
  prefix(columns: number): KeyValueCache {
    if (columns > this.columns)
      throw new PatchbayError('internal', `A cache of ${this.columns} columns has no ${columns}.`)
    const rows = Array.from({ length: this.batch }, (_, row) => row)
    return this.#pick(rows, columns)
  }

  /** A cache with the given rows, in that order; a row may be taken several times. */
  select(rows: readonly number[]): KeyValueCache {
    return this.#pick(rows, this.columns)
  }

  #pick(rows: readonly number[], columns: number): KeyValueCache {
    const same = columns === this.columns && rows.length === this.batch && rows.every((row, i) => row === i)
    if (same) return this
    const keyPositions = new Int32Array(rows.length * columns)
    rows.forEach((row, i) =>
      keyPositions.set(
        this.keyPositions.subarray(row * this.columns, row * this.columns + columns),
        i * columns,
      ),
    )
    const pick = (tensor: OrtTensor): OrtTensor => {
      const [, heads, , width] = tensor.dims
      const source = floatData(tensor)
      const target = new Float32Array(rows.length * heads * columns * width)
      rows.forEach((row, i) => {
        for (let head = 0; head < heads; head++) {
          const from = (row * heads + head) * this.columns * width
          target.set(source.subarray(from, from + columns * width), (i * heads + head) * columns * width)
        }
      })
      return floats(target, [rows.length, heads, columns, width])
    }
    const layers = this.layers.map((layer) =>
      layer === null ? null : { key: pick(layer.key), value: pick(layer.value) },
    )
    return new KeyValueCache(rows.length, columns, keyPositions, layers)
  }
}
