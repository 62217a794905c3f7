/**
 * Elements of small integer vectors and scalars, followed through the arithmetic that exporters write for shapes: what
 * `Reshape` is told is then known, in numbers and symbols, before anything runs.
 */
import type { Dim } from '../../graph'
import { product } from '../../graph'
import { integersOf } from '../attributes'
import { difference, quotient, sum, times } from './dims'
import { shapeSlice } from './layout-rules'
import { GivesUp, input, shapeOf, type Application } from './known'
import { constantsOf } from './operands'

type IntegerRule = (application: Application) => readonly Dim[]

function vector(a: Application, index: number): readonly Dim[] {
  const { integers } = input(a, index)
  if (integers === null) throw new GivesUp()
  return integers
}

const certain = (dim: Dim | null): Dim => {
  if (dim === null) throw new GivesUp()
  return dim
}

/** Two vectors element by element; a scalar goes with each. */
const paired =
  (combine: (x: Dim, y: Dim) => Dim | null): IntegerRule =>
  (a) => {
    const [x, y] = [vector(a, 0), vector(a, 1)]
    const length = x.length === 1 ? y.length : x.length
    if (y.length !== 1 && y.length !== length) throw new GivesUp()
    return Array.from({ length }, (_, i) =>
      certain(combine(x[x.length === 1 ? 0 : i], y[y.length === 1 ? 0 : i])),
    )
  }

/** 1 or 0 where it can be told: a symbol stands for a size, which is not negative. */
const equal = (x: Dim, y: Dim): Dim | null => {
  if (x === y) return 1
  if (typeof x === 'number' && typeof y === 'number') return 0
  return [x, y].some((dim) => typeof dim === 'number' && dim < 0) ? 0 : null
}

const gathered: IntegerRule = (a) => {
  const data = vector(a, 0)
  return constantsOf(a, 1).map((index) => data[index < 0 ? index + data.length : index] ?? certain(null))
}

const sliced: IntegerRule = (a) => {
  const data = vector(a, 0)
  const [start] = integersOf(a.node, 'starts') ?? constantsOf(a, 1)
  const [end] = integersOf(a.node, 'ends') ?? constantsOf(a, 2)
  const [step] = a.inputs.length > 4 ? constantsOf(a, 4) : [1]
  if (step !== 1) throw new GivesUp()
  return data.slice(start, end)
}

const chosen: IntegerRule = (a) => {
  const [condition, x, y] = [vector(a, 0), vector(a, 1), vector(a, 2)]
  const length = Math.max(condition.length, x.length, y.length)
  const at = (dims: readonly Dim[], i: number): Dim => dims[dims.length === 1 ? 0 : i] ?? certain(null)
  return Array.from({ length }, (_, i) => (at(condition, i) === 1 ? at(x, i) : at(y, i)))
}

const filled: IntegerRule = (a) => {
  const [length] = a.inputs.length === 1 ? vector(a, 0) : [0]
  if (typeof length !== 'number' || length > 64 || vector(a, 0).length !== 1) throw new GivesUp()
  const attribute = a.node.attributes.find(({ name }) => name === 'value')?.t
  if (attribute === undefined || attribute.int64Data.length + attribute.rawData.length === 0)
    throw new GivesUp()
  const raw = attribute.rawData
  const value =
    raw.length === 8
      ? Number(new DataView(raw.buffer, raw.byteOffset, 8).getBigInt64(0, true))
      : Number(attribute.int64Data.at(0) ?? certain(null))
  return Array.from({ length }, () => value)
}

const copied: IntegerRule = (a) => vector(a, 0)

export const integerRules: ReadonlyMap<string, IntegerRule> = new Map<string, IntegerRule>([
  ['Shape', (a) => shapeSlice(a)],
  ['Size', (a) => [product(shapeOf(a, 0))]],
  ['Gather', gathered],
  ['Slice', sliced],
  ['Concat', (a) => a.inputs.flatMap((_, i) => vector(a, i))],
  ['Unsqueeze', copied],
  ['Squeeze', copied],
  ['Identity', copied],
  ['Cast', copied],
  ['Reshape', copied],
  ['Flatten', copied],
  ['Add', paired(sum)],
  ['Sub', paired(difference)],
  ['Mul', paired(times)],
  ['Div', paired(quotient)],
  ['Equal', paired(equal)],
  ['Where', chosen],
  ['ConstantOfShape', filled],
])
