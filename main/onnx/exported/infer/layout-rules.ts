/** Shapes of operators that only move, choose or repeat elements. */
import { elementTypeOf } from '../../element-types'
import type { Dim } from '../../graph'
import { product } from '../../graph'
import { reshape } from '../../shapes'
import { integerOf, integersOf, tensorOf } from '../attributes'
import { broadcastShapes, difference, quotient, sum, times } from './dims'
import { axisIn, GivesUp, input, shapeOf, typed, type Application, type Typed } from './known'
import { axesOf, constantsOf } from './operands'

/** The elements of a shape-like input. */
function dimsOf(a: Application, index: number): readonly Dim[] {
  const { integers } = input(a, index)
  if (integers === null) throw new GivesUp()
  return integers
}

const transposed = (a: Application): readonly Typed[] => {
  const shape = shapeOf(a, 0)
  const perm = integersOf(a.node, 'perm') ?? shape.map((_, i) => shape.length - 1 - i)
  if (perm.length !== shape.length) throw new GivesUp()
  return [
    typed(
      input(a, 0).type,
      perm.map((axis) => shape[axisIn(axis, shape.length)]),
    ),
  ]
}

const reshaped = (a: Application): readonly Typed[] => {
  const { type, shape } = input(a, 0)
  const target = dimsOf(a, 1)
  if (target.filter((dim) => dim === -1).length > 1) throw new GivesUp()
  try {
    return [typed(type, reshape(shape ?? never(), target))]
  } catch {
    // The part that −1 stands for can not be computed; the number of axes is still known.
    return [
      typed(
        type,
        target.map((dim, i) => rest(dim, shape?.[i], a)),
      ),
    ]
  }
}

const rest = (dim: Dim, before: Dim | undefined, a: Application): Dim => {
  if (dim === -1) return a.fresh.next()
  return dim === 0 ? (before ?? a.fresh.next()) : dim
}

const unsqueezed = (a: Application): readonly Typed[] => {
  const shape = shapeOf(a, 0)
  const axes = axesOf(a, 1) ?? never()
  const rank = shape.length + axes.length
  const added = new Set(axes.map((axis) => axisIn(axis, rank)))
  const left = [...shape]
  return [
    typed(
      input(a, 0).type,
      Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (left.shift() ?? 1))),
    ),
  ]
}

const squeezed = (a: Application): readonly Typed[] => {
  const shape = shapeOf(a, 0)
  const axes = axesOf(a, 1)?.map((axis) => axisIn(axis, shape.length))
  const gone = (dim: Dim, i: number): boolean => (axes === undefined ? dim === 1 : axes.includes(i))
  return [
    typed(
      input(a, 0).type,
      shape.filter((dim, i) => !gone(dim, i)),
    ),
  ]
}

const concatenated = (a: Application): readonly Typed[] => {
  const shapes = a.inputs.map((_, i) => shapeOf(a, i))
  const axis = axisIn(integerOf(a.node, 'axis') ?? never(), shapes[0].length)
  const total = shapes.map((shape) => shape[axis]).reduce((x, y) => sum(x, y) ?? a.fresh.next())
  const widest = shapes.find((shape) => shape.every((dim) => typeof dim === 'number')) ?? shapes[0]
  return [
    typed(
      input(a, 0).type,
      widest.map((dim, i) => (i === axis ? total : dim)),
    ),
  ]
}

const split = (a: Application): readonly Typed[] => {
  const { type } = input(a, 0)
  const shape = shapeOf(a, 0)
  const axis = axisIn(integerOf(a.node, 'axis') ?? 0, shape.length)
  const count = a.node.outputs.length
  const sizes = axesOf(a, 1, 'split') ?? equalParts(shape[axis], count)
  return Array.from({ length: count }, (_, part) =>
    typed(
      type,
      shape.map((dim, i) => (i === axis ? (sizes.at(part) ?? a.fresh.next()) : dim)),
    ),
  )
}

function equalParts(dim: Dim, count: number): readonly number[] {
  if (typeof dim !== 'number') throw new GivesUp()
  const size = Math.ceil(dim / count)
  return Array.from({ length: count }, (_, i) => Math.min(size, dim - i * size))
}

const sliced = (a: Application): readonly Typed[] => {
  const shape = [...shapeOf(a, 0)]
  const bound = (index: number, name: string): readonly Dim[] =>
    integersOf(a.node, name) ?? input(a, index).integers ?? openBounds(a, index)
  const starts = bound(1, 'starts')
  const ends = bound(2, 'ends')
  const axes = axesOf(a, 3) ?? starts.map((_, i) => i)
  const steps = a.inputs.length > 4 ? constantsOf(a, 4) : axes.map(() => 1)
  axes.forEach((axis, i) => {
    const index = axisIn(axis, shape.length)
    shape[index] = slicedDim(shape[index], starts[i], ends[i], steps[i]) ?? a.fresh.next()
  })
  return [typed(input(a, 0).type, shape)]
}

/** Bounds that are known only when it runs, of which the number is known. */
function openBounds(a: Application, index: number): readonly Dim[] {
  const [count] = shapeOf(a, index)
  if (typeof count !== 'number') throw new GivesUp()
  return Array.from({ length: count }, () => a.fresh.next())
}

function slicedDim(dim: Dim, start: Dim, end: Dim, step: number): Dim | null {
  if (start === 0 && step === 1 && (end === dim || (typeof end === 'number' && end >= 2 ** 31 - 1)))
    return dim
  if (start === 0 && step === 1 && typeof end === 'string') return end
  if (typeof dim !== 'number' || typeof start !== 'number' || typeof end !== 'number' || step <= 0)
    return null
  const place = (n: number): number => Math.min(dim, Math.max(0, n < 0 ? n + dim : n))
  return Math.max(0, Math.ceil((place(end) - place(start)) / step))
}

const gathered = (a: Application): readonly Typed[] => {
  const { type } = input(a, 0)
  const shape = shapeOf(a, 0)
  const axis = axisIn(integerOf(a.node, 'axis') ?? 0, shape.length)
  return [typed(type, [...shape.slice(0, axis), ...shapeOf(a, 1), ...shape.slice(axis + 1)])]
}

const gatheredNd = (a: Application): readonly Typed[] => {
  const [shape, places] = [shapeOf(a, 0), shapeOf(a, 1)]
  const depth = places[places.length - 1]
  if (typeof depth !== 'number' || (integerOf(a.node, 'batch_dims') ?? 0) !== 0) throw new GivesUp()
  return [typed(input(a, 0).type, [...places.slice(0, -1), ...shape.slice(depth)])]
}

const expanded = (a: Application): readonly Typed[] => [
  typed(input(a, 0).type, broadcastShapes(shapeOf(a, 0), dimsOf(a, 1))),
]

const tiled = (a: Application): readonly Typed[] => {
  const repeats = dimsOf(a, 1)
  return [
    typed(
      input(a, 0).type,
      shapeOf(a, 0).map((dim, i) => times(dim, repeats[i]) ?? a.fresh.next()),
    ),
  ]
}

const flattened = (a: Application): readonly Typed[] => {
  const shape = shapeOf(a, 0)
  const axis = integerOf(a.node, 'axis') ?? 1
  const at = axis < 0 ? axis + shape.length : axis
  return [typed(input(a, 0).type, [product(shape.slice(0, at)), product(shape.slice(at))])]
}

const range = (a: Application): readonly Typed[] => {
  const { type } = input(a, 0)
  const bounds = [0, 1, 2].map((i) => input(a, i).integers?.at(0) ?? null)
  const [start, limit, step] = bounds
  if (start === null || limit === null || typeof step !== 'number' || step <= 0)
    return [typed(type, [a.fresh.next()])]
  const span = difference(limit, start)
  const count = typeof span === 'number' ? Math.max(0, Math.ceil(span / step)) : quotient(span ?? '', step)
  return [typed(type, [count === null || count === '' ? a.fresh.next() : count])]
}

const filled = (a: Application): readonly Typed[] => [
  typed(elementTypeOf(tensorOf(a.node, 'value')?.dataType ?? 1), dimsOf(a, 0)),
]

const largest = (a: Application): readonly Typed[] => {
  const shape = shapeOf(a, 0)
  const axis = axisIn(integerOf(a.node, 'axis') ?? -1, shape.length)
  const [k] = dimsOf(a, 1)
  const kept = shape.map((dim, i) => (i === axis ? k : dim))
  return [typed(input(a, 0).type, kept), typed('int64', kept)]
}

const never = (): never => {
  throw new GivesUp()
}

export const layoutRules: readonly [string, (a: Application) => readonly Typed[]][] = [
  ['Transpose', transposed],
  ['Reshape', reshaped],
  ['Unsqueeze', unsqueezed],
  ['Squeeze', squeezed],
  ['Concat', concatenated],
  ['Split', split],
  ['Slice', sliced],
  ['Gather', gathered],
  ['GatherND', gatheredNd],
  ['GatherElements', (a) => [typed(input(a, 0).type, shapeOf(a, 1))]],
  ['Expand', expanded],
  ['Tile', tiled],
  ['Flatten', flattened],
  ['Range', range],
  ['ConstantOfShape', filled],
  ['TopK', largest],
  ['Shape', (a) => [typed('int64', [shapeSlice(a).length])]],
  ['Size', () => [typed('int64', [])]],
  ['NonZero', (a) => [typed('int64', [shapeOf(a, 0).length, a.fresh.next()])]],
]

/** The dimensions that a Shape node gives out. */
export function shapeSlice(a: Application): readonly Dim[] {
  const shape = shapeOf(a, 0)
  return shape.slice(integerOf(a.node, 'start') ?? 0, integerOf(a.node, 'end') ?? shape.length)
}
