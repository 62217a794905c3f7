/** Gradients of what is computed element by element, with broadcasting. y is the result, dy the gradient by it. */
import type { Value } from '../graph'
import type { Emitter } from './emit'
import { broadcasting, type Application, type Rules } from './rule'

export const arithmetic = {
  Add: broadcasting(({ dy }) => [() => dy, () => dy]),
  Sub: broadcasting(({ emit, dy }) => [() => dy, () => emit.op('Neg', dy)]),
  Mul: broadcasting(({ emit, x, dy }) => [() => emit.mul(dy, x(1)), () => emit.mul(dy, x(0))]),
  // d(a/b) = da/b − (a/b) db/b
  Div: broadcasting(({ emit, x, y, dy }) => [
    () => emit.div(dy, x(1)),
    () => emit.op('Neg', emit.div(emit.mul(dy, y()), x(1))),
  ]),
  // d(aᵇ) = b aᵇ⁻¹ da + aᵇ ln a db; at a = 0 the second is 0
  Pow: broadcasting(({ emit, x, y, dy }) => [
    () => emit.mul(dy, powerSlope(emit, x(0), x(1))),
    () => {
      const [base, power] = [x(0), x(1)]
      const isZero = emit.op('Equal', base, emit.number(0, base))
      const log = emit.op('Log', emit.where(isZero, emit.number(1, base), base))
      return emit.cast(emit.mul(dy, emit.mul(y(), log)), power.dtype)
    },
  ]),
  Max: broadcasting((node) => shared(node)),
  Min: broadcasting((node) => shared(node)),
  Neg: ({ emit, dy }) => [() => emit.op('Neg', dy)],
  // d√a = da / 2√a
  Sqrt: ({ emit, y, dy }) => [() => emit.div(emit.times(dy, 0.5), y())],
  Floor: null,
  Exp: ({ emit, y, dy }) => [() => emit.mul(dy, y())],
  Log: ({ emit, x, dy }) => [() => emit.div(dy, x(0))],
  Sin: ({ emit, x, dy }) => [() => emit.mul(dy, emit.op('Cos', x(0)))],
  Cos: ({ emit, x, dy }) => [() => emit.op('Neg', emit.mul(dy, emit.op('Sin', x(0))))],
  // Where the value was not clipped (y = x, bounds included) it passes; where it was, the bound gets it.
  Clip: broadcasting(({ emit, x, y, dy }) => {
    const none = (): Value => emit.number(0, dy)
    const passed = (): Value => emit.op('Equal', x(0), y())
    const bound = (index: number) => (): Value =>
      emit.where(passed(), none(), emit.where(emit.op('Equal', x(index), y()), dy, none()))
    return [() => emit.where(passed(), dy, none()), bound(1), bound(2)]
  }),
  Equal: null,
  Where: broadcasting(({ emit, x, dy }) => [
    null,
    () => emit.where(x(0), dy, emit.number(0, dy)),
    () => emit.where(x(0), emit.number(0, dy), dy),
  ]),
  // Rounding to a smaller type counts as the identity.
  Cast: ({ emit, x, dy }) => [() => emit.cast(dy, x(0).dtype)],
} satisfies Partial<Rules>

/** b aᵇ⁻¹, in the type of a. An exponent of 0 gives 0 also where a is 0. */
function powerSlope(emit: Emitter, base: Value, power: Value): Value {
  const exponent = emit.cast(power, base.dtype)
  const isZero = emit.op('Equal', exponent, emit.number(0, base))
  const less = emit.where(isZero, emit.number(1, base), emit.plus(exponent, -1))
  return emit.mul(exponent, emit.op('Pow', base, less))
}

/** The largest (smallest) gets the gradient; equal ones share it. */
function shared({ emit, inputs, x, y, dy }: Application): (() => Value)[] {
  const isChosen = inputs.map((_, i) => emit.equal(x(i), y()))
  const count = isChosen.reduce((sum, one) => emit.add(sum, one))
  const share = emit.div(dy, count)
  return isChosen.map((chosen) => () => emit.mul(share, chosen))
}
