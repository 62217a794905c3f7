/** The arithmetic that gradient rules are written in, so that each reads like its formula. */
import type { GraphBuilder } from '../builder'
import { product, type Dim, type DType, type Value } from '../graph'
import type { Operator } from '../operators'

/** Operators without attributes. */
type Plain = 'Equal' | 'Erf' | 'Exp' | 'Floor' | 'Log' | 'Neg' | 'Pow' | 'Sin' | 'Cos' | 'Sqrt' | 'Tanh'

export class Emitter {
  readonly #shapes = new Map<Value, Value>()

  constructor(readonly g: GraphBuilder) {}

  op(op: Plain & Operator, ...inputs: readonly Value[]): Value {
    return this.g.op(op, inputs, {})
  }

  add(a: Value, b: Value): Value {
    return this.g.op('Add', [a, b], {})
  }

  sub(a: Value, b: Value): Value {
    return this.g.op('Sub', [a, b], {})
  }

  mul(a: Value, b: Value): Value {
    return this.g.op('Mul', [a, b], {})
  }

  div(a: Value, b: Value): Value {
    return this.g.op('Div', [a, b], {})
  }

  matmul(a: Value, b: Value): Value {
    return this.g.op('MatMul', [a, b], {})
  }

  where(condition: Value, a: Value, b: Value): Value {
    return this.g.op('Where', [condition, a, b], {})
  }

  /** Where one is absent, the other. */
  addAny(a: Value | null, b: Value | null): Value | null {
    return a === null || b === null ? (a ?? b) : this.add(a, b)
  }

  /** a · factor, or `a` itself for 1. */
  times(a: Value, factor: number): Value {
    return factor === 1 ? a : this.mul(a, this.number(factor, a))
  }

  plus(a: Value, term: number): Value {
    return this.add(a, this.number(term, a))
  }

  /** 1 − a */
  oneMinus(a: Value): Value {
    return this.sub(this.number(1, a), a)
  }

  /** A scalar of the type of `like`. */
  number(value: number, like: Value): Value {
    if (like.dtype === 'float32') return this.g.scalar(value)
    return this.g.once(`${like.dtype} ${value}`, () => this.cast(this.g.scalar(value), like.dtype))
  }

  cast(a: Value, to: DType): Value {
    return a.dtype === to ? a : this.g.op('Cast', [a], { to })
  }

  /** 1 where a = b, else 0, in the type of `a`. */
  equal(a: Value, b: Value): Value {
    return this.cast(this.op('Equal', a, b), a.dtype)
  }

  /** Sum over axes, which are kept with size 1. */
  sum(a: Value, axes: readonly number[]): Value {
    return this.g.op('ReduceSum', [a, this.g.integers(axes)], { keepdims: 1 })
  }

  mean(a: Value, axes: readonly number[]): Value {
    return this.g.op('ReduceMean', [a, this.g.integers(axes)], { keepdims: 1 })
  }

  /** The shape as it is when the graph runs, int64 [rank]. */
  shapeOf(a: Value): Value {
    const shape = this.#shapes.get(a) ?? this.g.op('Shape', [a], {}, 'shape')
    this.#shapes.set(a, shape)
    return shape
  }

  /** One dimension as it is when the graph runs, int64 [1]. */
  size(a: Value, axis: number): Value {
    const dim = a.shape[axis]
    if (typeof dim === 'number') return this.g.integers([dim])
    const inputs = [this.shapeOf(a), this.g.integers([axis])]
    return this.g.opAs({ dtype: 'int64', shape: [1], integers: [dim] }, 'Gather', inputs, { axis: 0 }, 'size')
  }

  zeros(like: Value): Value {
    return this.expand(this.number(0, like), like)
  }

  /** Repeats `a` to the shape of `like`. */
  expand(a: Value, like: Value): Value {
    const { dtype } = a
    return this.g.opAs({ dtype, shape: like.shape }, 'Expand', [a, this.#shapeAsInput(like)], {})
  }

  /** The same elements in the shape of `like`. */
  reshape(a: Value, like: Value): Value {
    if (a.shape.join() === like.shape.join() && !a.shape.some((dim) => String(dim).includes('?'))) return a
    return this.reshapeAs(a, this.#shapeAsInput(like), like.shape)
  }

  /** @param target as `Reshape` has it, @param shape what comes of it */
  reshapeAs(a: Value, target: Value, shape: readonly Dim[]): Value {
    return this.g.opAs({ dtype: a.dtype, shape }, 'Reshape', [a, target], {})
  }

  /** Zeros around `a`. @param counts int64 [2 · rank], as `Pad` has them, @param shape what comes of it */
  pad(a: Value, counts: Value, shape: readonly Dim[]): Value {
    return this.g.opAs({ dtype: a.dtype, shape }, 'Pad', [a, counts], {})
  }

  /** All but the last axis as one: rows [n, width]. */
  rows(a: Value, width: number): Value {
    if (a.shape.length === 2) return a
    const shape = [product(a.shape.slice(0, -1)), width]
    return this.reshapeAs(a, this.g.integers([-1, width]), shape)
  }

  transpose(a: Value, perm: readonly number[]): Value {
    return perm.every((axis, i) => axis === i) ? a : this.g.op('Transpose', [a], { perm })
  }

  /** The last two axes exchanged. */
  swapped(a: Value): Value {
    const perm = [...a.shape.keys()]
    perm.push(...perm.splice(-2).reverse())
    return this.transpose(a, perm)
  }

  #shapeAsInput(like: Value): Value {
    return like.shape.every((dim) => typeof dim === 'number')
      ? this.g.integers(like.shape)
      : this.shapeOf(like)
  }
}

/** An axis counted from the front. */
export const axisOf = (axis: number, { shape }: Value): number => (axis < 0 ? axis + shape.length : axis)
