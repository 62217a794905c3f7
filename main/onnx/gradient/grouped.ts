/**
 * Attention's values by groups of heads, [batch, kv_head, group · pos, …]: queries that share keys are rows of one matrix, so
 * that sums over them are part of the products.
 */
import { product, type Dim, type Value } from '../graph'
import type { Emitter } from './emit'
import { notDifferentiable } from './rule'

export class Grouping {
  readonly #group: number

  /** @param heads of queries, a multiple of `kvHeads`, those of keys and values */
  constructor(
    private readonly emit: Emitter,
    private readonly heads: number,
    private readonly kvHeads: number,
  ) {
    this.#group = heads / kvHeads
  }

  /** [batch, pos, heads · width] → [batch, kv_head, group · pos, width] */
  wide(value: Value, width: number): Value {
    const { emit, kvHeads } = this
    const [batch, pos] = value.shape
    const shape = [batch, pos, kvHeads, this.#group, width]
    const apart = emit.reshapeAs(value, emit.g.integers([0, 0, kvHeads, this.#group, width]), shape)
    const turned = emit.transpose(apart, [0, 2, 3, 1, 4])
    const together = [batch, kvHeads, product([this.#group, pos]), width]
    return emit.reshapeAs(turned, emit.g.integers([0, kvHeads, -1, width]), together)
  }

  /** The way back from `wide`, to the shape [batch, pos, heads · width] of `like`. */
  back(value: Value, like: Value): Value {
    const { emit, kvHeads } = this
    const [batch, , , width] = value.shape
    const shape = [batch, kvHeads, this.#group, like.shape[1], width]
    const apart = emit.reshapeAs(value, emit.g.integers([0, kvHeads, this.#group, -1, Number(width)]), shape)
    return emit.reshape(emit.transpose(apart, [0, 3, 1, 2, 4]), like)
  }

  /** [batch, head, pos, keys] → [batch, kv_head, group · pos, keys] @param target of the reshape, where 0 will not do */
  byGroup(value: Value, target: Value = this.emit.g.integers([0, this.kvHeads, -1, 0])): Value {
    const [batch, , pos, keys] = value.shape
    return this.emit.reshapeAs(value, target, [batch, this.kvHeads, product([this.#group, pos]), keys])
  }

  /** [batch, kv_head, group · pos, keys] → [batch, head, pos, keys] */
  byHead(value: Value, pos: Dim): Value {
    const [batch, , , keys] = value.shape
    const target = this.emit.g.integers([0, this.heads, -1, 0])
    return this.emit.reshapeAs(value, target, [batch, this.heads, pos, keys])
  }

  /** Keys or values of all positions, [batch, kv_head, past + pos, width]. */
  present(past: Value | null, fresh: Value): Value {
    const { emit, kvHeads } = this
    const [batch, pos] = fresh.shape
    const shape = [batch, pos, kvHeads, this.widthOf(fresh)]
    const perHead = emit.reshapeAs(fresh, emit.g.integers([0, 0, kvHeads, -1]), shape)
    const turned = emit.transpose(perHead, [0, 2, 1, 3])
    return past === null ? turned : emit.g.op('Concat', [past, turned], { axis: 2 })
  }

  /** The way back from `present`: what belongs to earlier positions and to those of `fresh`. */
  split(present: Value, past: Value | null, fresh: Value): { past: Value; fresh: Value } {
    const { emit } = this
    const flat = (value: Value): Value => emit.reshape(emit.transpose(value, [0, 2, 1, 3]), fresh)
    if (past === null) return { past: present, fresh: flat(present) }
    const sizes = emit.g.op('Concat', [emit.size(past, 2), emit.size(fresh, 1)], { axis: 0 }, 'sizes')
    const parts = emit.g.ops('Split', [present, sizes], { axis: 2 }, ['past', 'fresh'])
    return { past: parts[0], fresh: flat(parts[1]) }
  }

  /** Elements of each head of keys or values [batch, pos, kv_head · width]. */
  widthOf({ name, shape }: Value): number {
    const all = shape[2]
    if (typeof all !== 'number') throw notDifferentiable(`The width of ${name} is not known`, name)
    return all / this.kvHeads
  }
}
