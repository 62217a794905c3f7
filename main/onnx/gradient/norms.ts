/** Gradients of the norms over the last axes, in float: the statistics are computed again. */
import type { Value } from '../graph'
import { axisOf } from './emit'
import { broadcasting, lazy, notDifferentiable, type Application, type Gradient, type Rules } from './rule'

export const norms = {
  LayerNormalization: broadcasting((node) => normalised(node, true)),
  RMSNormalization: broadcasting((node) => normalised(node, false)),
} satisfies Partial<Rules>

/**
 * y = x̂ ⊙ scale + bias, x̂ = (x − mean x) · r, r = 1 / √(var x + ε) (RMS: without the mean, var = mean x²). With
 * d = dy ⊙ scale: dx = r · (d − mean d − x̂ · mean(d ⊙ x̂)) (RMS: without mean d), dscale = dy ⊙ x̂, dbias = dy.
 */
function normalised(
  { emit, attributes, inputs, outputs, x, dy, dys }: Application<'LayerNormalization' | 'RMSNormalization'>,
  centred: boolean,
): (Gradient | null)[] {
  const source = x(0)
  if (dys.slice(1).some((other) => other !== null))
    throw notDifferentiable(`The statistics of the norm ${outputs[0]?.name ?? ''} have no gradient`)
  const first = axisOf(attributes.axis, source)
  const axes = source.shape.flatMap((_, axis) => (axis >= first ? [axis] : []))
  const middle = (): Value => (centred ? emit.sub(source, emit.mean(source, axes)) : source)
  const inner = lazy(() => {
    const offset = middle()
    const variance = emit.mean(emit.mul(offset, offset), axes)
    const deviation = emit.op('Sqrt', emit.plus(variance, attributes.epsilon))
    return { deviation, quotient: emit.div(offset, deviation) }
  })
  return [
    () => {
      const { deviation, quotient } = inner()
      const d = inputs[1] ? emit.mul(dy, inputs[1]) : dy
      const along = emit.mul(quotient, emit.mean(emit.mul(d, quotient), axes))
      const across = centred ? emit.sub(d, emit.mean(d, axes)) : d
      return emit.div(emit.sub(across, along), deviation)
    },
    () => emit.mul(dy, inner().quotient),
    () => dy,
  ]
}
