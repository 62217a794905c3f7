/** The gradient of broadcasting: a value that was repeated along an axis gets the sum over that axis. */
import type { Dim, Value } from '../graph'
import { isOpen } from '../shapes'
import type { Emitter } from './emit'

/**
 * `gradient`, in the shape that `x` was broadcast to, summed to the shape of `x`.
 *
 * Which axes are summed over is known when the graph is built, but for dimensions that are open ("1 or whatever it is
 * broadcast against"): there the two shapes are compared when it runs.
 * @param shapes of all that was broadcast together
 */
export function summedTo(
  emit: Emitter,
  gradient: Value,
  x: Value,
  shapes: readonly (readonly Dim[])[],
): Value {
  const rank = Math.max(x.shape.length, ...shapes.map((shape) => shape.length))
  const repeated: number[] = []
  let undecided = false
  for (let axis = 0; axis < rank; axis++) {
    const own = at(x.shape, axis, rank)
    const others = shapes.map((shape) => at(shape, axis, rank) ?? 1).filter((dim) => dim !== 1)
    if (own === null || own === 1) {
      if (own === null || others.length > 0) repeated.push(axis)
    } else if (isOpen(own) && others.some((dim) => dim !== own)) undecided = true
  }
  let sum = repeated.length === 0 ? gradient : emit.sum(gradient, repeated)
  if (undecided) sum = summedWhereItDiffers(emit, sum, x, rank)
  return x.shape.length < rank ? emit.reshape(sum, x) : sum
}

/** The sum over those axes whose sizes differ when it runs, which are kept. */
function summedWhereItDiffers(emit: Emitter, gradient: Value, x: Value, rank: number): Value {
  const { g } = emit
  const before = new Array<number>(rank - x.shape.length).fill(1)
  const own =
    before.length === 0
      ? emit.shapeOf(x)
      : g.op('Concat', [g.integers(before), emit.shapeOf(x)], { axis: 0 }, 'aligned')
  const difference = emit.sub(emit.shapeOf(gradient), own)
  const axes = g.op('Reshape', [g.op('NonZero', [difference], {}), g.integers([-1])], {})
  const type = { dtype: x.dtype, shape: [...before, ...x.shape] }
  return g.opAs(type, 'ReduceSum', [gradient, axes], { keepdims: 1, noop_with_empty_axes: 1 })
}

/** The dimension that stands at `axis` once the shape is aligned at its end; null before its first. */
const at = (shape: readonly Dim[], axis: number, rank: number): Dim | null =>
  shape[axis - rank + shape.length] ?? null
