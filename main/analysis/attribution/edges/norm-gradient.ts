/** Backward pass of a norm on rows of the residual stream: gradient of its output → gradient of its input. */
import type { NormSpec } from '../../../models/spec'
import type { Insides } from '../subject'

/** @param x rows [n, width] at which the norm is; @param gradient [n, width], is overwritten */
export type NormGradient = (x: Float32Array, gradient: Float32Array) => void

/** With γ the norm's weight, s its divisor and x̂ its (for LayerNorm centred) input: (γg − mean)/s − x̂ (x̂·γg) / (width s³). */
export async function normGradient(
  { weight }: Insides,
  spec: NormSpec | null,
  width: number,
): Promise<NormGradient> {
  if (spec === null) return () => undefined
  const gain = spec.weight === null ? null : await weight(spec.weight)
  const centred = spec.kind === 'layer'
  return (x, gradient) => {
    for (let start = 0; start < x.length; start += width) {
      let mean = 0
      if (centred) for (let i = 0; i < width; i++) mean += x[start + i] / width
      let square = 0
      let along = 0
      let middle = 0
      for (let i = 0; i < width; i++) {
        const value = x[start + i] - mean
        const weighted = gradient[start + i] * (gain?.[i] ?? 1)
        square += value * value
        along += value * weighted
        middle += weighted / width
        gradient[start + i] = weighted
      }
      const variance = square / width + spec.eps
      const scale = Math.sqrt(variance)
      const pull = along / (width * variance * scale)
      const shift = centred ? middle : 0
      for (let i = 0; i < width; i++)
        gradient[start + i] = (gradient[start + i] - shift) / scale - (x[start + i] - mean) * pull
    }
  }
}
