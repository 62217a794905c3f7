/** Gradients of activation functions. y is the result, dy the gradient by it. */
import type { Value } from '../graph'
import type { Emitter } from './emit'
import type { Rules } from './rule'

export const activations = {
  // erf′(x) = 2/√π · exp(−x²)
  Erf: ({ emit, x, dy }) => [() => emit.mul(dy, emit.times(bell(emit, x(0), 1), 2 / Math.sqrt(Math.PI)))],
  // tanh′ = 1 − tanh²
  Tanh: ({ emit, y, dy }) => [() => emit.mul(dy, emit.oneMinus(emit.mul(y(), y())))],
  // σ′ = σ (1 − σ)
  Sigmoid: ({ emit, y, dy }) => [() => emit.mul(dy, emit.mul(y(), emit.oneMinus(y())))],
  // 1 above 0, else 0
  Relu: ({ emit, y, dy }) => [
    () => emit.where(emit.op('Equal', y(), emit.number(0, dy)), emit.number(0, dy), dy),
  ],
  Gelu: ({ emit, attributes, x, dy }) => [
    () => emit.mul(dy, attributes.approximate === 'tanh' ? tanhGeluSlope(emit, x(0)) : geluSlope(emit, x(0))),
  ],
  // y = softmax(x): dx = y (dy − Σ y dy)
  Softmax: ({ emit, attributes, y, dy }) => [
    () => emit.mul(y(), emit.sub(dy, emit.sum(emit.mul(y(), dy), [attributes.axis]))),
  ],
} satisfies Partial<Rules>

/** exp(−x² · factor) */
const bell = (emit: Emitter, x: Value, factor: number): Value =>
  emit.op('Exp', emit.times(emit.mul(x, x), -factor))

/** gelu(x) = x Φ(x): gelu′ = Φ(x) + x φ(x), with Φ(x) = ½ (1 + erf(x/√2)) and φ(x) = exp(−x²/2) / √2π */
function geluSlope(emit: Emitter, x: Value): Value {
  const cumulative = emit.times(emit.plus(emit.op('Erf', emit.times(x, Math.SQRT1_2)), 1), 0.5)
  const density = emit.times(bell(emit, x, 0.5), 1 / Math.sqrt(2 * Math.PI))
  return emit.add(cumulative, emit.mul(x, density))
}

/** gelu(x) ≈ ½ x (1 + t), t = tanh u, u = √(2/π) (x + 0.044715 x³): gelu′ = ½ (1 + t) + ½ x (1 − t²) u′ */
function tanhGeluSlope(emit: Emitter, x: Value): Value {
  const factor = Math.sqrt(2 / Math.PI)
  const square = emit.mul(x, x)
  const u = emit.mul(x, emit.plus(emit.times(square, factor * 0.044715), factor))
  const slope = emit.plus(emit.times(square, 3 * factor * 0.044715), factor)
  const t = emit.op('Tanh', u)
  const steep = emit.mul(emit.mul(x, slope), emit.oneMinus(emit.mul(t, t)))
  return emit.times(emit.add(emit.plus(t, 1), steep), 0.5)
}
