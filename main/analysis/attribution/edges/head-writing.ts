/**
 * What each head writes to the residual stream. Where a norm stands behind attention (Gemma 2 and 3, OLMo 2, GLM-4), that is
 * its share of what leaves the norm: the heads' results are divided by the scale that the norm has at their sum in the same
 * run, as direct logit attribution does. The output's bias is scaled with them, and shared out equally, so that the heads'
 * writings add up to attention's in every run.
 */
import type { BlockSpec } from '../../../models/spec'
import type { Insides } from '../subject'

/** From a run's results to what is written, [pos, head, d_model] both; the argument is left as it is. */
export type HeadWriting = (result: Float32Array) => Float32Array

/** The writing of each block's heads. */
export async function headWritings(insides: Insides): Promise<HeadWriting[]> {
  const { blocks, dModel } = insides.spec
  const writings: HeadWriting[] = []
  for (const block of blocks) writings.push(await headWriting(insides, block, dModel))
  return writings
}

async function headWriting(
  { weight }: Insides,
  { attention: { heads, output }, attentionPostNorm: norm, residualMultiplier }: BlockSpec,
  width: number,
): Promise<HeadWriting> {
  if (norm === null)
    return residualMultiplier === 1
      ? (result) => result
      : (result) => result.map((x) => x * residualMultiplier)
  const gain = norm.weight === null ? null : await weight(norm.weight)
  const bias = output.bias === null ? null : await weight(output.bias)
  const centred = norm.kind === 'layer'
  return (result) => {
    const written = result.slice()
    const size = heads * width
    for (let start = 0; start < result.length; start += size) {
      let square = 0
      const means = new Float64Array(heads)
      if (bias !== null) for (let i = 0; i < size; i++) written[start + i] += bias[i % width] / heads
      if (centred) for (let i = 0; i < size; i++) means[Math.floor(i / width)] += written[start + i] / width
      for (let i = 0; i < width; i++) {
        let sum = 0
        for (let head = 0; head < heads; head++) sum += written[start + head * width + i] - means[head]
        square += sum * sum
      }
      const factor = residualMultiplier / Math.sqrt(square / width + norm.eps)
      for (let i = 0; i < size; i++)
        written[start + i] =
          (written[start + i] - means[Math.floor(i / width)]) * factor * (gain?.[i % width] ?? 1)
    }
    return written
  }
}
