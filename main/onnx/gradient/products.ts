/** Gradients of matrix products. Matrices are used as they lie: a weight is never transposed into a copy. */
import type { Dim, Value } from '../graph'
import { dequantised4 } from '../nibbles'
import { summedTo } from './broadcast'
import type { Application, Gradient, Rules } from './rule'

export const products = {
  // Y = A B: dA = dY Bᵀ, dB = Aᵀ dY
  MatMul: (node) => (isMatrix(node.x(1)) ? byMatrix(node) : batched(node)),
  Gemm: (node) => gemm(node),
  // Y = A Wᵀ: dA = dY W, with W made of its codes
  MatMulNBits: ({ emit, attributes, x, dy }) => [
    () => {
      const matrix = dequantised4(emit.g, x(1), x(2), attributes.block_size)
      const rows = emit.g.op('Gemm', [emit.rows(dy, attributes.N), matrix], {})
      return emit.reshape(rows, x(0))
    },
    null,
    null,
  ],
} satisfies Partial<Rules>

const isMatrix = ({ shape }: Value): boolean =>
  shape.length === 2 && shape.every((dim) => typeof dim === 'number')

/** A [..., m, k] times a matrix B [k, n]: as rows [..·m, k], so that B's transposition is only a flag. */
function byMatrix({ emit, x, dy }: Application): Gradient[] {
  const [a, b] = [x(0), x(1)]
  const [inner, outer] = b.shape.map(Number)
  const dRows = (): Value => emit.rows(dy, outer)
  return [
    () => emit.reshape(emit.g.op('Gemm', [dRows(), b], { transB: 1 }), a),
    () => emit.g.op('Gemm', [emit.rows(a, inner), dRows()], { transA: 1 }),
  ]
}

function batched({ emit, x, dy }: Application): Gradient[] {
  const [a, b] = [x(0), x(1)]
  const ends = (of: Value, other: Value): Dim[][] => [[...other.shape.slice(0, -2), ...of.shape.slice(-2)]]
  return [
    () => summedTo(emit, emit.matmul(dy, emit.swapped(b)), a, ends(a, b)),
    () => {
      // Aᵀ dY or (dYᵀ A)ᵀ: a pattern [.., pos, pos] is not turned around, a projection [.., pos, width] rather.
      const turn = typeof dy.shape.at(-1) === 'number' && typeof a.shape.at(-1) !== 'number'
      if (!turn) return summedTo(emit, emit.matmul(emit.swapped(a), dy), b, ends(b, a))
      return summedTo(emit, emit.swapped(emit.matmul(emit.swapped(dy), a)), b, ends(b, a))
    },
  ]
}

/**
 * Y = α op(A) op(B) + β C: d op(A) = α dY op(B)ᵀ, d op(B) = α op(A)ᵀ dY, dC = β dY, where an operand that is used
 * transposed gets the transposed product: (dY op(B)ᵀ)ᵀ = op(B) dYᵀ.
 */
function gemm({ emit, attributes, x, dy }: Application<'Gemm'>): Gradient[] {
  const { transA = 0, transB = 0, alpha = 1, beta = 1 } = attributes
  const times = (a: Value, b: Value, flipA: 0 | 1, flipB: 0 | 1): Value =>
    emit.g.op('Gemm', [a, b], {
      ...(flipA === 1 && { transA: 1 }),
      ...(flipB === 1 && { transB: 1 }),
      ...(alpha !== 1 && { alpha }),
    })
  const opposite = (flag: 0 | 1): 0 | 1 => (flag === 1 ? 0 : 1)
  return [
    () => (transA === 1 ? times(x(1), dy, transB, 1) : times(dy, x(1), 0, opposite(transB))),
    () => (transB === 1 ? times(dy, x(0), 1, transA) : times(x(0), dy, opposite(transA), 0)),
    () => summedTo(emit, emit.times(dy, beta), x(2), [dy.shape]),
  ]
}
