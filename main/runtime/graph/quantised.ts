/**
 * Products with, and rows of, a matrix that stays quantised. ONNX Runtime multiplies fast by w = scale · (code − 8) with
 * four-bit codes and nothing else (its zero points and its eight-bit codes take slow paths, or round what is multiplied);
 * the rest is written as sums of that: an eight-bit code as two digits of four bits, a shift as a product with the sums
 * of x over the groups.
 */
import type { GraphBuilder } from '../../onnx/builder'
import { product, type Dim, type Value } from '../../onnx/graph'
import { nibbles } from '../../onnx/nibbles'

/** w = scale · (code − zero), or scale · (code − centre) + shift; code = Σ 16^i digit_i, centre = Σ 16^i 8. */
export interface QuantisedMatrix {
  readonly rows: number
  readonly columns: number
  /** Elements of a row that share scale and shift. */
  readonly group: number
  /** Digits of the codes, lowest first: uint8 [rows, columns/group, group/2], two in a byte. */
  readonly planes: readonly Value[]
  /** [rows, columns/group] */
  readonly scales: Value
  readonly zero: number | null
  readonly shifts: Value | null
}

export const isQuantised = (matrix: Value | QuantisedMatrix): matrix is QuantisedMatrix => 'planes' in matrix

/** x [tokens, columns] → x Wᵀ [tokens, rows], in float32. */
export function quantisedProduct(g: GraphBuilder, matrix: QuantisedMatrix, x: Value): Value {
  const { rows, columns, group, planes, scales, zero, shifts } = matrix
  const attributes = { K: columns, N: rows, bits: 4, block_size: group, accuracy_level: 1 } as const
  const parts = planes.map((codes, digit) => {
    const input = digit === 0 ? x : g.op('Mul', [x, g.scalar(16 ** digit)], {})
    return g.op('MatMulNBits', [input, codes, scales], attributes)
  })
  let y = parts.reduce((sum, part) => g.op('Add', [sum, part], {}))
  const beside = zero === null ? 0 : centre(matrix) - zero
  if (beside !== 0) y = g.op('Gemm', [groupSums(g, x, group), scales, y], { transB: 1, alpha: beside })
  if (shifts !== null) y = g.op('Gemm', [groupSums(g, x, group), shifts, y], { transB: 1 })
  return y
}

/** Rows of the matrix in float32: indices of any shape → […, columns]. */
export function quantisedRows(g: GraphBuilder, matrix: QuantisedMatrix, indices: Value): Value {
  const count = product(indices.shape)
  const flat = g.reshape(indices, [count])
  const pick = (part: Value): Value => g.op('Gather', [part, flat], { axis: 0 })
  return g.reshape(dequantised(g, matrix, pick, count), [...indices.shape, matrix.columns])
}

/** The whole matrix in float32 [rows, columns]: as large as if it had never been quantised. */
export const dense = (g: GraphBuilder, matrix: QuantisedMatrix): Value =>
  dequantised(g, matrix, (part) => part, matrix.rows)

const centre = ({ planes }: QuantisedMatrix): number =>
  planes.reduce((sum, _, digit) => sum + 8 * 16 ** digit, 0)

/** The picked rows [count, columns], by ordinary operators. */
function dequantised(
  g: GraphBuilder,
  matrix: QuantisedMatrix,
  pick: (part: Value) => Value,
  count: Dim,
): Value {
  const { columns, group, planes, scales, zero, shifts } = matrix
  const groups = columns / group
  const digits = planes.map((plane) => nibbles(g, pick(plane), [count, groups, group]))
  const code = digits.reduce((low, high, digit) =>
    g.op('Add', [low, g.op('Mul', [high, g.scalar(16 ** digit)], {})], {}),
  )
  const each = (part: Value): Value => g.reshape(pick(part), [count, groups, 1])
  const steps = g.op('Sub', [code, g.scalar(zero ?? centre(matrix))], {})
  const scaled = g.op('Mul', [steps, each(scales)], {})
  const shifted = shifts === null ? scaled : g.op('Add', [scaled, each(shifts)], {})
  return g.reshape(shifted, [count, columns])
}

/** Sums over groups of columns, which all matrices that multiply x share: by x and group. */
const sums = new WeakMap<Value, Map<number, Value>>()

/** x [tokens, columns] → [tokens, columns/group] */
function groupSums(g: GraphBuilder, x: Value, group: number): Value {
  const known = sums.get(x) ?? new Map<number, Value>()
  sums.set(x, known)
  const [tokens, columns] = x.shape
  const groups = Number(columns) / group
  const made = known.get(group) ?? sumOfGroups()
  known.set(group, made)
  return made

  function sumOfGroups(): Value {
    const split = g.reshape(x, [tokens, groups, group])
    // Without tokens (an expert that nobody chose) ONNX Runtime keeps the axis whatever it is told.
    const kept = g.op('ReduceSum', [split, g.integers([-1])], { keepdims: 1 })
    return g.reshape(kept, [tokens, groups])
  }
}
