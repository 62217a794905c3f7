/**
 * Gradients of the fused operators of attention. Beside the pattern and its gradient nothing of their size is kept, and
 * nothing is turned around.
 */
import type { Value } from '../graph'
import { summedTo } from './broadcast'
import { Grouping } from './grouped'
import { lazy, notDifferentiable, type Application, type Gradient, type Rules } from './rule'

export const attention = {
  // A rotation: its gradient is the rotation by the opposite angle.
  RotaryEmbedding: ({ emit, attributes, inputs, x, y, dy }) => {
    const angles = (): Value => {
      throw notDifferentiable(`The angles of the rotation ${y().name} have no gradient`, y().name)
    }
    const rest = inputs.slice(3)
    return [
      () => emit.g.op('RotaryEmbedding', [dy, x(1), emit.op('Neg', x(2)), ...rest], attributes),
      angles,
      angles,
    ]
  },
  Attention: (node) => attended(node),
} satisfies Partial<Rules>

/** What the backward pass needs of the forward pass, each computed where it is first asked for. */
function forward({ emit, attributes, inputs, outputs, x }: Application<'Attention'>, by: Grouping) {
  const { scale, softcap = 0, qk_matmul_output_mode: mode } = attributes
  const [mask, pastKey, pastValue] = [3, 4, 5].map((index) => inputs[index] ?? null)
  const given = mode === 3 ? (outputs[3] ?? null) : null
  const queries = lazy(() => emit.times(by.wide(x(0), by.widthOf(x(1))), scale))
  const keys = lazy(() => outputs[1] ?? by.present(pastKey, x(1)))
  const values = lazy(() => outputs[2] ?? by.present(pastValue, x(2)))
  const scores = lazy(() => emit.matmul(queries(), emit.swapped(keys())))
  const tanh = lazy(() => emit.op('Tanh', emit.times(scores(), 1 / softcap)))
  // ONNX's shape inference takes the given pattern's last axis to be 0, so nothing may be derived from it.
  const target = (): Value =>
    emit.g.op('Concat', [emit.g.integers([0, attributes.kv_num_heads, -1]), emit.size(keys(), 2)], {
      axis: 0,
    })
  const pattern = lazy(() => {
    if (given !== null) return by.byGroup(given, target())
    const capped = softcap === 0 ? scores() : emit.times(tanh(), softcap)
    const masked = mask === null ? capped : by.byGroup(emit.add(by.byHead(capped, x(0).shape[1]), mask))
    return emit.g.op('Softmax', [masked], { axis: -1 })
  })
  return { queries, keys, values, tanh, pattern }
}

/**
 * S = scale · Q Kᵀ, T = cap · tanh(S / cap) + mask, P = softmax(T), Y = P V:
 * dV = Pᵀ dY, dP = dY Vᵀ, dT = P ⊙ (dP − Σ P ⊙ dP), where Σ P ⊙ dP = Σ Y ⊙ dY (the sum over the narrower of the two),
 * dmask = dT, dS = dT ⊙ (1 − tanh²), dQ = scale · dS K, dK = scale · dSᵀ Q.
 */
function attended(node: Application<'Attention'>): Gradient[] {
  const { emit, attributes, inputs, outputs, x, dys } = node
  const { scale, softcap = 0, qk_matmul_output_mode: mode = 0 } = attributes
  const by = new Grouping(emit, attributes.q_num_heads, attributes.kv_num_heads)
  const { queries, keys, values, tanh, pattern } = forward(node, by)
  const [dY, dPresentKey, dPresentValue, dInner] = [0, 1, 2, 3].map((index) => dys[index] ?? null)
  const inMode = (which: number): Value | null => (dInner && mode === which ? by.byGroup(dInner) : null)
  const wide = (value: Value): Value => by.wide(value, by.widthOf(x(2)))
  const dOutput = lazy(() => dY && wide(dY))

  const dMasked = lazy((): Value | null => {
    const [dOut, dPattern] = [dOutput(), inMode(3)]
    const whole = emit.addAny(dOut && emit.matmul(dOut, emit.swapped(values())), dPattern)
    if (whole === null) return inMode(2)
    const output = dPattern === null ? (outputs[0] ?? null) : null
    const products = dOut && output ? emit.mul(dOut, wide(output)) : emit.mul(pattern(), whole)
    return emit.addAny(emit.mul(emit.sub(whole, emit.sum(products, [-1])), pattern()), inMode(2))
  })
  const dScores = lazy((): Value | null => {
    const d = emit.addAny(dMasked(), inMode(1))
    const slope = (): Value => emit.oneMinus(emit.mul(tanh(), tanh()))
    return emit.addAny(d && (softcap === 0 ? d : emit.mul(d, slope())), inMode(0))
  })
  // dSᵀ Q as (Qᵀ dS)ᵀ, and Pᵀ dY likewise: what is turned around is as narrow as a head.
  const dKeys = lazy(() => {
    const d = dScores()
    const own = d && emit.swapped(emit.matmul(emit.swapped(queries()), d))
    return by.split(emit.addAny(own, dPresentKey) ?? emit.zeros(keys()), inputs[4] ?? null, x(1))
  })
  const dValues = lazy(() => {
    const d = dOutput()
    const own = d && emit.swapped(emit.matmul(emit.swapped(d), pattern()))
    return by.split(emit.addAny(own, dPresentValue) ?? emit.zeros(values()), inputs[5] ?? null, x(2))
  })
  return [
    () => {
      const d = dScores()
      return d === null ? emit.zeros(x(0)) : by.back(emit.times(emit.matmul(d, keys()), scale), x(0))
    },
    () => dKeys().fresh,
    () => dValues().fresh,
    () => {
      const d = dMasked()
      if (d === null) return emit.zeros(x(3))
      const perHead = by.byHead(d, x(0).shape[1])
      return summedTo(emit, perHead, x(3), [perHead.shape])
    },
    () => dKeys().past,
    () => dValues().past,
  ]
}
