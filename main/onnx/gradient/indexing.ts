/** Gradients of picking and writing by index: picking becomes adding at the index, and the other way round. */
import { inverse } from '../exported/view'
import type { Value } from '../graph'
import { axisOf, type Emitter } from './emit'
import type { Application, Rules } from './rule'

export const indexing = {
  // Only the values that were picked get a gradient.
  TopK: ({ emit, attributes: { axis }, x, y, dy }) => [
    () => emit.g.op('ScatterElements', [emit.zeros(x(0)), y(1), dy], { axis }),
    null,
  ],
  Gather: (node) => [() => gathered(node), null],
  GatherElements: ({ emit, attributes: { axis }, x, dy }) => [
    () => emit.g.op('ScatterElements', [emit.zeros(x(0)), x(1), dy], { axis, reduction: 'add' }),
    null,
  ],
  GatherND: ({ emit, x, dy }) => [() => addedAt(emit, x(0), x(1), dy), null],
  ScatterElements: ({ emit, attributes, x, dy }) => [
    () =>
      attributes.reduction === 'add'
        ? dy
        : emit.g.op('ScatterElements', [dy, x(1), emit.zeros(x(2))], { axis: attributes.axis }),
    null,
    () => emit.g.op('GatherElements', [dy, x(1)], { axis: attributes.axis }),
  ],
  ScatterND: ({ emit, attributes, x, dy }) => [
    () => (attributes.reduction === 'add' ? dy : emit.g.op('ScatterND', [dy, x(1), emit.zeros(x(2))], {})),
    null,
    () => emit.g.op('GatherND', [dy, x(1)], {}),
  ],
  NonZero: null,
} satisfies Partial<Rules>

/** Zeros like `data`, with `rows` added at `indices` [.., k]. */
const addedAt = (emit: Emitter, data: Value, indices: Value, rows: Value): Value =>
  emit.g.op('ScatterND', [emit.zeros(data), indices, rows], { reduction: 'add' })

/** Rows of `data` along its first axis; another axis is brought there and back. */
function gathered({ emit, attributes, x, dy }: Application<'Gather'>): Value {
  const [data, indices] = [x(0), x(1)]
  const axis = axisOf(attributes.axis, data)
  const last = emit.g.op('Unsqueeze', [indices, emit.g.integers([-1])], {})
  if (axis === 0) return addedAt(emit, data, last, dy)
  const axes = [...data.shape.keys()]
  const front = [axis, ...axes.filter((other) => other !== axis)]
  const picked = indices.shape.map((_, i) => axis + i)
  const rest = [...dy.shape.keys()].filter((other) => !picked.includes(other))
  const rows = emit.transpose(dy, [...picked, ...rest])
  return emit.transpose(addedAt(emit, emit.transpose(data, front), last, rows), inverse(front))
}
