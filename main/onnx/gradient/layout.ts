/** Gradients of what only moves elements: each moves them back. */
import { inverse } from '../exported/view'
import type { Value } from '../graph'
import { summedTo } from './broadcast'
import { axisOf, type Emitter } from './emit'
import { lazy, type Application, type Gradient, type Rules } from './rule'
import { sliced } from './slices'

export const layout = {
  Identity: ({ dy }) => [() => dy],
  Shape: null,
  Reshape: ({ emit, x, dy }) => [() => emit.reshape(dy, x(0))],
  Unsqueeze: ({ emit, x, dy }) => [() => emit.reshape(dy, x(0))],
  Transpose: ({ emit, attributes, dy }) => [() => emit.transpose(dy, inverse(attributes.perm))],
  Concat: (node) => concatenated(node),
  Split: ({ emit, attributes, outputs, dys }) => [
    () => {
      const parts = dys.flatMap((part, i) => part ?? (outputs[i] ? [emit.zeros(outputs[i])] : []))
      return emit.g.op('Concat', parts, { axis: attributes.axis })
    },
  ],
  Slice: (node) => [() => sliced(node)],
  // The counts with the other sign: what was added is taken away, what was taken away was not used.
  Pad: ({ emit, x, dy }) => [() => emit.pad(dy, negative(emit, x(1)), x(0).shape)],
  Expand: ({ emit, x, y, dy }) => [() => summedTo(emit, dy, x(0), [y().shape])],
} satisfies Partial<Rules>

function negative(emit: Emitter, counts: Value): Value {
  const known = counts.integers?.flatMap((count) => (typeof count === 'number' ? [-count] : []))
  return known !== undefined && known.length === counts.integers?.length
    ? emit.g.integers(known)
    : emit.op('Neg', counts)
}

/** Each input gets its part. */
function concatenated({ emit, attributes, inputs, x, dy }: Application<'Concat'>): Gradient[] {
  if (inputs.length === 1) return [() => dy]
  const axis = axisOf(attributes.axis, dy)
  const parts = lazy(() => {
    const dims = inputs.map((_, i) => x(i).shape[axis])
    const sizes = dims.every((dim) => typeof dim === 'number')
      ? emit.g.integers(dims)
      : emit.g.op(
          'Concat',
          inputs.map((_, i) => emit.size(x(i), axis)),
          { axis: 0 },
          'sizes',
        )
    const names = inputs.map(() => 'part')
    return emit.g.ops('Split', [dy, sizes], { axis }, names)
  })
  return inputs.map((_, i) => () => parts()[i])
}
