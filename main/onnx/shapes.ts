/**
 * Types and symbolic shapes of what each operator computes: one rule an operator, exhaustive by type. The builder calls
 * them for every node, so a graph that does not fit together is refused where it is built, with the operator named.
 */
import { PatchbayError } from '../../preload/errors'
import type { Dim, DType, Value } from './graph'
import { product, shapeText } from './graph'
import type { Attributes, Operator } from './operators'

export interface Typed {
  readonly dtype: DType
  readonly shape: readonly Dim[]
  readonly integers?: readonly Dim[]
}
type Inputs = readonly (Value | null)[]
export type ShapeRule<O extends Operator> = (
  inputs: Inputs,
  attributes: Attributes[O],
  outputs: number,
) => readonly Typed[]

const misfit = (message: string): PatchbayError =>
  new PatchbayError('internal', `A graph does not fit together: ${message}.`, {
    next: 'This is a defect in Patchbay; please report it with the model you opened.',
  })

const at = (inputs: Inputs, index: number): Value => {
  const value = inputs[index]
  if (value === null || value === undefined) throw misfit(`input ${index} is missing`)
  return value
}

const axisOf = (axis: number, rank: number): number => {
  const index = axis < 0 ? axis + rank : axis
  if (index < 0 || index >= rank) throw misfit(`axis ${axis} of rank ${rank}`)
  return index
}

const dimsOf = (value: Value): readonly Dim[] => {
  if (value.integers === undefined) throw misfit(`${value.name} must be a known integer vector`)
  return value.integers
}

const integersOf = (value: Value): readonly number[] =>
  dimsOf(value).map((dim) => {
    if (typeof dim === 'string') throw misfit(`${value.name} must be constant`)
    return dim
  })

/** Whether a dimension may be 1 where another is not. */
export const isOpen = (dim: Dim): boolean => typeof dim === 'string' && dim.includes('?')

function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === b || b === 1) return a
  if (a === 1) return b
  if (isOpen(b)) return a
  if (isOpen(a)) return b
  throw misfit(`${a} does not broadcast with ${b}`)
}

/** Shape of an element-by-element operation (numpy's broadcasting). */
export function broadcast(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) =>
    broadcastDim(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1),
  )
}

const same: ShapeRule<Operator> = (inputs) => [typed(at(inputs, 0).dtype, at(inputs, 0).shape)]

const typed = (dtype: DType, shape: readonly Dim[]): Typed => ({ dtype, shape })

const elementwise: ShapeRule<Operator> = (inputs) => {
  const shape = inputs.reduce<Dim[]>((acc, _, i) => broadcast(acc, at(inputs, i).shape), [])
  return [{ dtype: at(inputs, 0).dtype, shape }]
}

const reduce: ShapeRule<'ReduceMean' | 'ReduceSum' | 'ReduceMax'> = (inputs, { keepdims }) => {
  const { dtype, shape } = at(inputs, 0)
  const axes = new Set(integersOf(at(inputs, 1)).map((axis) => axisOf(axis, shape.length)))
  const kept = shape.map((dim, i) => (axes.has(i) ? 1 : dim))
  return [{ dtype, shape: keepdims === 1 ? kept : kept.filter((_, i) => !axes.has(i)) }]
}

/** Result of `Reshape` to `target`, where 0 copies a dimension and −1 takes what is left. */
export function reshape(shape: readonly Dim[], target: readonly Dim[]): Dim[] {
  const dims = target.map((dim, i) => (dim === 0 ? shape[i] : dim))
  const hole = dims.indexOf(-1)
  if (hole === -1) return dims
  const rest = factors(dims.filter((_, i) => i !== hole))
  const total = factors(shape)
  for (const symbol of rest.symbols) {
    const index = total.symbols.indexOf(symbol)
    if (index === -1) throw misfit(`${shapeText(shape)} does not reshape to ${shapeText(target)}`)
    total.symbols.splice(index, 1)
  }
  if (total.number % rest.number !== 0)
    throw misfit(`${shapeText(shape)} does not reshape to ${shapeText(target)}`)
  dims[hole] = product([total.number / rest.number, ...total.symbols])
  return dims
}

function factors(dims: readonly Dim[]): { number: number; symbols: string[] } {
  const all = String(product(dims)).split('*')
  const number = /^\d+$/.test(all[0]) ? Number(all[0]) : 1
  return { number, symbols: all.filter((part) => !/^\d+$/.test(part)) }
}

export function matmul(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const inner = a[a.length - 1]
  const summed = b[b.length - 2]
  const fits = inner === summed || isOpen(inner) || isOpen(summed)
  if (a.length < 2 || b.length < 2 || !fits) throw misfit(`MatMul of ${shapeText(a)} and ${shapeText(b)}`)
  return [...broadcast(a.slice(0, -2), b.slice(0, -2)), a[a.length - 2], b[b.length - 1]]
}

function slice(inputs: Inputs): Dim[] {
  const shape = [...at(inputs, 0).shape]
  const starts = integersOf(at(inputs, 1))
  const ends = integersOf(at(inputs, 2))
  const axes = integersOf(at(inputs, 3))
  const steps = inputs.length > 4 ? integersOf(at(inputs, 4)) : axes.map(() => 1)
  axes.forEach((axis, i) => {
    const index = axisOf(axis, shape.length)
    const dim = shape[index]
    if (typeof dim === 'string') throw misfit(`Slice of the symbolic axis ${dim}`)
    const bound = (n: number): number => Math.min(dim, Math.max(0, n < 0 ? n + dim : n))
    shape[index] = Math.max(0, Math.ceil((bound(ends[i]) - bound(starts[i])) / steps[i]))
  })
  return shape
}

function concat(inputs: Inputs, axis: number): Dim[] {
  const shapes = inputs.map((_, i) => at(inputs, i).shape)
  const index = axisOf(axis, shapes[0].length)
  const sizes = shapes.map((shape) => shape[index])
  const numbers = sizes.filter((dim) => typeof dim === 'number')
  const symbols = sizes.filter((dim) => typeof dim === 'string')
  const total = numbers.reduce((sum, n) => sum + n, 0)
  const joined = symbols.length === 0 ? total : [...symbols, ...(total === 0 ? [] : [total])].join('+')
  return shapes[0].map((dim, i) => (i === index ? joined : dim))
}

/** What each operator's outputs are. */
export const shapeRules: { readonly [O in Operator]: ShapeRule<O> } = {
  Add: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  Pow: elementwise,
  Max: elementwise,
  Min: elementwise,
  Neg: same,
  Sqrt: same,
  Floor: same,
  Exp: same,
  Log: same,
  Sin: same,
  Cos: same,
  Erf: same,
  Tanh: same,
  Sigmoid: same,
  Relu: same,
  Gelu: same,
  Clip: same,
  Equal: (inputs) => [{ dtype: 'bool', shape: broadcast(at(inputs, 0).shape, at(inputs, 1).shape) }],
  Where: (inputs) => [
    {
      dtype: at(inputs, 1).dtype,
      shape: broadcast(at(inputs, 0).shape, broadcast(at(inputs, 1).shape, at(inputs, 2).shape)),
    },
  ],
  Cast: (inputs, { to }) => [{ dtype: to, shape: at(inputs, 0).shape }],
  MatMul: (inputs) => [
    { dtype: at(inputs, 0).dtype, shape: matmul(at(inputs, 0).shape, at(inputs, 1).shape) },
  ],
  Gemm: (inputs, { transA = 0, transB = 0 }) => {
    const a = transA === 1 ? at(inputs, 0).shape.toReversed() : at(inputs, 0).shape
    const b = transB === 1 ? at(inputs, 1).shape.toReversed() : at(inputs, 1).shape
    return [{ dtype: at(inputs, 0).dtype, shape: matmul(a, b) }]
  },
  MatMulNBits: (inputs, { K, N, block_size }) => {
    const a = at(inputs, 0).shape
    const groups = [N, K / block_size]
    if (
      a[a.length - 1] !== K ||
      at(inputs, 1).shape.join() !== [...groups, block_size / 2].join() ||
      at(inputs, 2).shape.join() !== groups.join()
    )
      throw misfit(`a quantised matrix of ${N}×${K} in groups of ${block_size}`)
    return [{ dtype: at(inputs, 0).dtype, shape: [...a.slice(0, -1), N] }]
  },
  ReduceMean: reduce,
  ReduceSum: reduce,
  ReduceMax: reduce,
  Softmax: same,
  TopK: (inputs, { axis }) => {
    const { dtype, shape } = at(inputs, 0)
    const [k] = dimsOf(at(inputs, 1))
    const kept = shape.map((dim, i) => (i === axisOf(axis, shape.length) ? k : dim))
    return [
      { dtype, shape: kept },
      { dtype: 'int64', shape: kept },
    ]
  },
  Identity: same,
  Shape: (inputs, { start = 0, end }) => {
    const integers = at(inputs, 0).shape.slice(start, end)
    return [{ dtype: 'int64', shape: [integers.length], integers }]
  },
  Reshape: (inputs) => {
    const { dtype, shape } = at(inputs, 0)
    return [{ dtype, shape: reshape(shape, dimsOf(at(inputs, 1))) }]
  },
  Unsqueeze: (inputs) => {
    const { dtype, shape } = at(inputs, 0)
    const axes = integersOf(at(inputs, 1))
    const rank = shape.length + axes.length
    const added = new Set(axes.map((axis) => axisOf(axis, rank)))
    const rest = [...shape]
    return [
      { dtype, shape: Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (rest.shift() ?? 1))) },
    ]
  },
  Transpose: (inputs, { perm }) => [
    { dtype: at(inputs, 0).dtype, shape: perm.map((axis) => at(inputs, 0).shape[axis]) },
  ],
  Concat: (inputs, { axis }) => {
    const vectors = inputs.map((_, i) => at(inputs, i).integers)
    const integers = vectors.every((vector) => vector !== undefined) ? vectors.flat() : undefined
    return [{ dtype: at(inputs, 0).dtype, shape: concat(inputs, axis), integers }]
  },
  Split: (inputs, { axis }) => {
    const { dtype, shape } = at(inputs, 0)
    const index = axisOf(axis, shape.length)
    return dimsOf(at(inputs, 1)).map((size) => ({
      dtype,
      shape: shape.map((dim, i) => (i === index ? size : dim)),
    }))
  },
  Pad: (inputs) => {
    const { dtype, shape } = at(inputs, 0)
    const counts = integersOf(at(inputs, 1))
    const padded = shape.map((dim, i) => {
      const added = counts[i] + counts[i + shape.length]
      if (added === 0) return dim
      if (typeof dim === 'string') throw misfit(`Pad of the symbolic axis ${dim}`)
      return dim + added
    })
    return [{ dtype, shape: padded }]
  },
  Slice: (inputs) => [{ dtype: at(inputs, 0).dtype, shape: slice(inputs) }],
  Gather: (inputs, { axis }) => {
    const { dtype, shape } = at(inputs, 0)
    const index = axisOf(axis, shape.length)
    return [{ dtype, shape: [...shape.slice(0, index), ...at(inputs, 1).shape, ...shape.slice(index + 1)] }]
  },
  GatherElements: (inputs) => [{ dtype: at(inputs, 0).dtype, shape: at(inputs, 1).shape }],
  GatherND: (inputs) => {
    const { dtype, shape } = at(inputs, 0)
    const rows = at(inputs, 1).shape
    const depth = rows[rows.length - 1]
    if (typeof depth === 'string') throw misfit(`GatherND at indices of ${shapeText(rows)}`)
    return [{ dtype, shape: [...rows.slice(0, -1), ...shape.slice(depth)] }]
  },
  ScatterElements: same,
  ScatterND: same,
  // how many there are is known only when it runs: a symbol of its own for each value looked at
  NonZero: (inputs) => [
    { dtype: 'int64', shape: [at(inputs, 0).shape.length, `nonzero ${at(inputs, 0).name}`] },
  ],
  Expand: (inputs) => [
    { dtype: at(inputs, 0).dtype, shape: broadcast(at(inputs, 0).shape, dimsOf(at(inputs, 1))) },
  ],
  LayerNormalization: same,
  RMSNormalization: same,
  RotaryEmbedding: same,
  Attention: (inputs, { q_num_heads, kv_num_heads }, outputs) => {
    const query = at(inputs, 0)
    const value = at(inputs, 2)
    const past = inputs[4] ?? null
    const [batch, queries] = query.shape
    const keys = value.shape[1]
    const width = (dim: Dim, heads: number): Dim => (typeof dim === 'number' ? dim / heads : dim)
    const total = past === null ? keys : `${past.shape[2]}+${keys}`
    const present = (of: Value): Typed => ({
      dtype: query.dtype,
      shape: [batch, kv_num_heads, total, width(of.shape[2], kv_num_heads)],
    })
    const y: Typed = {
      dtype: query.dtype,
      shape: [batch, queries, product([q_num_heads, width(value.shape[2], kv_num_heads)])],
    }
    const scores: Typed = { dtype: query.dtype, shape: [batch, q_num_heads, queries, total] }
    return [y, present(at(inputs, 1)), present(value), scores].slice(0, outputs)
  },
}

/** Types and shapes of a node's outputs. Throws `internal`, naming the operator, where its inputs do not fit. */
export function inferShapes<O extends Operator>(
  op: O,
  inputs: Inputs,
  attributes: Attributes[O],
  outputs: number,
): readonly Typed[] {
  try {
    return shapeRules[op](inputs, attributes, outputs)
  } catch (thrown) {
    if (!(thrown instanceof PatchbayError)) throw thrown
    const shapes = inputs.map((value) => (value === null ? '–' : shapeText(value.shape))).join(', ')
    throw new PatchbayError('internal', `${thrown.message} (${op} of ${shapes})`, {
      next: thrown.next,
      cause: thrown,
    })
  }
}
