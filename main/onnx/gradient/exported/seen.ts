/** The layout of a hook point on the way in and out: gradients are turned as the values themselves are. */
import { inverse, type View } from '../../exported/view'
import type { Value } from '../../graph'
import type { Emitter } from '../emit'

/** A value of the graph as its hook point shows it: float32, in the view's layout. */
export function seenAs(emit: Emitter, value: Value, { perm, shape, lift }: View): Value {
  const { g } = emit
  let x = emit.cast(value, 'float32')
  if (lift) x = g.op('Unsqueeze', [x, g.integers([0])], {})
  if (perm !== null) x = emit.transpose(x, perm)
  return shape === null
    ? x
    : emit.reshapeAs(
        x,
        g.integers(shape.to),
        shape.to.map((_, axis) => `?to ${axis}`),
      )
}

/** What a hook point shows, as it lies in the graph at `value`. */
export function backInto(emit: Emitter, given: Value, { perm, shape, lift }: View, value: Value): Value {
  const { g } = emit
  let x = given
  if (shape !== null)
    x = emit.reshapeAs(
      x,
      g.integers(shape.back),
      shape.back.map((_, axis) => `?back ${axis}`),
    )
  if (perm !== null) x = emit.transpose(x, inverse(perm))
  if (lift) x = emit.reshape(x, value)
  return emit.cast(x, value.dtype)
}
