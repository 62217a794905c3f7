/** Gradients of reductions: what was summed over gets the gradient everywhere. */
import type { Value } from '../graph'
import { axisOf } from './emit'
import { lazy, notDifferentiable, type Application, type Gradient, type Rules } from './rule'

type Reduction = 'ReduceMean' | 'ReduceSum' | 'ReduceMax'

export const reductions = {
  ReduceSum: (node) => [() => node.emit.expand(kept(node, node.dy), node.x(0))],
  ReduceMean: (node) => [() => node.emit.expand(node.emit.div(kept(node, node.dy), count(node)), node.x(0))],
  // The largest gets the gradient; equal ones share it.
  ReduceMax: (node) => maximum(node),
} satisfies Partial<Rules>

function maximum(node: Application<'ReduceMax'>): Gradient[] {
  const { emit, x, y, dy } = node
  const axes = axesOf(node)
  const isLargest = lazy(() => emit.equal(x(0), kept(node, y())))
  return [() => emit.mul(isLargest(), emit.div(kept(node, dy), emit.sum(isLargest(), axes)))]
}

/** A reduced value with its axes kept. */
function kept(node: Application<Reduction>, reduced: Value): Value {
  const { emit, attributes } = node
  if (attributes.keepdims === 1) return reduced
  return emit.g.op('Unsqueeze', [reduced, emit.g.integers(axesOf(node))], {})
}

/** How many elements each mean is over, in its type. */
function count(node: Application<Reduction>): Value {
  const { emit, x, dy } = node
  const source = x(0)
  const sizes = axesOf(node).map((axis) => axisOf(axis, source))
  const dims = sizes.map((axis) => source.shape[axis])
  if (dims.every((dim) => typeof dim === 'number'))
    return emit.number(
      dims.reduce((total, dim) => total * dim, 1),
      dy,
    )
  const total = sizes.map((axis) => emit.size(source, axis)).reduce((a, b) => emit.mul(a, b))
  return emit.cast(total, dy.dtype)
}

function axesOf({ x, y }: Application<Reduction>): number[] {
  const axes = x(1).integers
  if (axes === undefined || axes.some((axis) => typeof axis === 'string'))
    throw notDifferentiable(`The axes that ${y().name} is reduced over are known only when it runs`, y().name)
  return axes.map(Number)
}
