/** Linear layers and frozen norms as maps on single vectors, in float64: forwards, and as their transpose on a direction. */
import type { LinearSpec, NormSpec } from '../../models/spec'
import type { Insides } from './subject'

export type Vector = Float64Array

export const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

/** A linear layer with its weights at hand. */
export interface Linear {
  /** W x, without the bias: [inputs] → [outputs] */
  forward(x: ArrayLike<number>): Vector
  /** Wᵀ u: a direction of the outputs as one of the inputs, [outputs] → [inputs]. */
  pull(u: ArrayLike<number>): Vector
  /** [outputs]; null without one */
  readonly bias: Float32Array | null
}

export async function readLinear({ weight }: Insides, spec: LinearSpec): Promise<Linear> {
  const data = await weight(spec.weight)
  const bias = spec.bias === null ? null : await weight(spec.bias)
  const [rows, columns] = spec.layout === 'out-in' ? [spec.outputs, spec.inputs] : [spec.inputs, spec.outputs]
  const byRows = (x: ArrayLike<number>): Vector =>
    Float64Array.from({ length: rows }, (_, row) => dot(data.subarray(row * columns, (row + 1) * columns), x))
  const byColumns = (x: ArrayLike<number>): Vector => {
    const result = new Float64Array(columns)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) result[column] += data[row * columns + column] * x[row]
    return result
  }
  return spec.layout === 'out-in'
    ? { forward: byRows, pull: byColumns, bias }
    : { forward: byColumns, pull: byRows, bias }
}

/** A norm whose scale is frozen at one vector, and so is linear up to its bias. */
export interface FrozenNorm {
  /** What it divides by. */
  readonly scale: number
  /** A direction of its output as one of its input, [width]. */
  pull(u: ArrayLike<number>): Vector
  /** Bias · u */
  constant(u: ArrayLike<number>): number
}

/** Freezes a norm at x [width]; null as spec is the identity. */
export async function freezeNorm(
  { weight }: Insides,
  spec: NormSpec | null,
  x: ArrayLike<number>,
): Promise<FrozenNorm | null> {
  if (spec === null) return null
  const width = x.length
  const gain = spec.weight === null ? null : await weight(spec.weight)
  const bias = spec.bias === null ? null : await weight(spec.bias)
  const centred = spec.kind === 'layer'
  const mean = centred ? meanOf(x) : 0
  let square = 0
  for (let i = 0; i < width; i++) square += (x[i] - mean) ** 2
  const scale = Math.sqrt(square / width + spec.eps)
  return {
    scale,
    pull: (u) => {
      const pulled = Float64Array.from(u, (value, i) => (value * (gain?.[i] ?? 1)) / scale)
      if (!centred) return pulled
      const middle = meanOf(pulled)
      return pulled.map((value) => value - middle)
    },
    constant: (u) => (bias === null ? 0 : dot(bias, u)),
  }
}

/** The direction behind a frozen norm; the same where there is none. */
export const pulled = (norm: FrozenNorm | null, u: Vector): Vector => norm?.pull(u) ?? u

export const constantOf = (norm: FrozenNorm | null, u: Vector): number => norm?.constant(u) ?? 0

const meanOf = (x: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i]
  return sum / x.length
}

export const times = (u: Vector, factor: number): Vector => (factor === 1 ? u : u.map((x) => x * factor))

export const plus = (a: ArrayLike<number>, b: ArrayLike<number> | null): Vector =>
  Float64Array.from(a, (x, i) => x + (b?.[i] ?? 0))
