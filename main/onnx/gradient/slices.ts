/** The gradient of a slice: zeros around it, and between its elements where it left some out. */
import type { Dim, Value } from '../graph'
import { product } from '../graph'
import { axisOf, type Emitter } from './emit'
import { notDifferentiable, type Application } from './rule'

interface Cut {
  readonly axis: number
  readonly step: number
  /** null where it is known only when the graph runs: then it is element `index` of the input `starts` */
  readonly start: number | null
  readonly index: number
}

/** Gradient by the input of a slice with positive steps. */
export function sliced({ emit, inputs, x, y, dy }: Application<'Slice'>): Value {
  const source = x(0)
  const starts = inputs[1]?.integers ?? []
  const steps = numbers(inputs[4] ?? null, y()) ?? []
  const axes = numbers(inputs[3] ?? null, y()) ?? [...source.shape.keys()]
  const cuts = axes.map((axis, index): Cut => {
    const start = starts[index]
    return {
      axis: axisOf(axis, source),
      step: steps[index] ?? 1,
      start: typeof start === 'number' ? start : null,
      index,
    }
  })
  const backwards = cuts.find(({ step }) => step < 0)
  if (backwards !== undefined)
    throw notDifferentiable(`The slice ${y().name} runs backwards (step ${backwards.step})`, y().name)
  const spread = cuts.reduce((value, cut) => spreadOut(emit, value, cut), dy)
  const around = source.shape.map((_, axis): [Value, Value] => {
    const cut = cuts.find((one) => one.axis === axis)
    return cut === undefined
      ? [emit.g.integers([0]), emit.g.integers([0])]
      : margins(emit, source, x(1), spread, cut)
  })
  const counts = [...around.map(([before]) => before), ...around.map(([, behind]) => behind)]
  const known = counts.flatMap(({ integers }) => (typeof integers?.[0] === 'number' ? [integers[0]] : []))
  const all =
    known.length === counts.length ? emit.g.integers(known) : emit.g.op('Concat', counts, { axis: 0 })
  return emit.pad(spread, all, source.shape)
}

/** With step n, n − 1 zeros behind each element. */
function spreadOut(emit: Emitter, value: Value, { axis, step }: Cut): Value {
  if (step === 1) return value
  const apart = emit.g.op('Unsqueeze', [value, emit.g.integers([axis + 1])], {})
  const counts = Array.from({ length: 2 * apart.shape.length }, (_, i) =>
    i === apart.shape.length + axis + 1 ? step - 1 : 0,
  )
  const wide = apart.shape.map((dim, i) => (i === axis + 1 ? step : dim))
  const spread = emit.pad(apart, emit.g.integers(counts), wide)
  const shape = value.shape.map((dim, i) => (i === axis ? product([dim, step]) : dim))
  if (shape.every((dim) => typeof dim === 'number'))
    return emit.reshapeAs(spread, emit.g.integers(shape), shape)
  const factors = emit.g.integers(shape.map((_, i) => (i === axis ? step : 1)))
  return emit.reshapeAs(spread, emit.mul(emit.shapeOf(value), factors), shape)
}

/** How many zeros come before and behind along the cut's axis; behind, a negative count takes away what step left over. */
function margins(emit: Emitter, source: Value, starts: Value, spread: Value, cut: Cut): [Value, Value] {
  const { axis, start, index } = cut
  const { g } = emit
  const [dim, length]: Dim[] = [source.shape[axis], spread.shape[axis]]
  const size = emit.size(source, axis)
  const before = start === null ? runtimeStart() : constantStart(start)
  const known = before.integers?.[0]
  if (typeof known === 'number' && typeof dim === 'number' && typeof length === 'number')
    return [before, g.integers([dim - known - length])]
  return [before, emit.sub(emit.sub(size, before), emit.size(spread, axis))]

  function constantStart(from: number): Value {
    if (typeof dim === 'number') return g.integers([Math.min(dim, Math.max(0, from < 0 ? from + dim : from))])
    if (from === 0) return g.integers([0])
    return from < 0
      ? g.op('Max', [emit.add(size, g.integers([from])), g.integers([0])], {})
      : g.op('Min', [size, g.integers([from])], {})
  }

  function runtimeStart(): Value {
    const from = g.op('Gather', [starts, g.integers([index])], { axis: 0 })
    const isNegative = emit.op(
      'Neg',
      g.op('Max', [g.op('Min', [from, g.integers([0])], {}), g.integers([-1])], {}),
    )
    const counted = emit.add(from, emit.mul(size, isNegative))
    return g.op('Min', [g.op('Max', [counted, g.integers([0])], {}), size], {})
  }
}

function numbers(value: Value | null, of: Value): number[] | null {
  if (value === null) return null
  if (value.integers === undefined || value.integers.some((dim) => typeof dim === 'string'))
    throw notDifferentiable(`How ${of.name} is sliced is known only when it runs`, of.name)
  return value.integers.map(Number)
}
