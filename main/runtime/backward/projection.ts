/** A projection on directions at a hook point: its value for each row, and the cotangent that the backward pass begins with. */
import { sizeOf, type Tensor } from '../../../preload/tensor'
import type { Layout } from '../layout'
import { rowOffsets } from '../ports'
import { spread } from '../selection'
import type { MetricPlan } from './metric'

/**
 * d metric / d x at the hook point, in its whole shape; 0 in padded places.
 * @throws PatchbayError `input.invalid` where a direction does not fit
 */
export function projectionCotangent(
  { hook, parts }: Extract<MetricPlan, { kind: 'projection' }>,
  layout: Layout,
): Tensor {
  const { batch, queries, past, lengths } = layout
  const run: Record<string, number | undefined> = {
    batch,
    pos: queries,
    q_pos: queries,
    k_pos: past + queries,
  }
  const { dims } = hook
  const { sizes } = parts[0].selection
  const shape = dims.map((dim, axis) => run[dim] ?? sizes[axis] ?? 1)
  const data = new Float32Array(sizeOf(shape))
  const width = shape[shape.length - 1]
  for (const { selection, direction } of parts) {
    const places = spread(selection, { layout, promptLengths: lengths }, direction)
    if (places === null) continue
    const masks = rowOffsets(places.mask.shape, shape)
    const values = rowOffsets(places.value.shape, shape)
    const maskStep = places.mask.shape[places.mask.shape.length - 1] === 1 ? 0 : 1
    const valueStep = places.value.shape[places.value.shape.length - 1] === 1 ? 0 : 1
    for (let row = 0; row < values.length; row++)
      for (let i = 0; i < width; i++)
        data[row * width + i] +=
          places.mask.data[masks[row] + i * maskStep] * places.value.data[values[row] + i * valueStep]
  }
  clearPadding({ shape, data }, dims, lengths)
  return { shape, data }
}

/** Each row's Σ x·d. Masked scores (−∞) do not count, and are taken out of the cotangent. */
export function projectionValues(x: Tensor, cotangent: Tensor): Float32Array {
  const [batch] = x.shape
  const size = x.data.length / batch
  return Float32Array.from({ length: batch }, (_, row) => {
    let sum = 0
    for (let i = row * size; i < (row + 1) * size; i++) {
      if (x.data[i] === -Infinity) cotangent.data[i] = 0
      else if (cotangent.data[i] !== 0) sum += x.data[i] * cotangent.data[i]
    }
    return sum
  })
}

/** Sets columns behind a row's end to 0. */
export function clearPadding(
  { shape, data }: Tensor,
  dims: readonly string[],
  lengths: readonly number[],
): void {
  const axis = dims.findIndex((dim) => dim === 'pos' || dim === 'q_pos')
  const inner = sizeOf(shape.slice(axis + 1))
  const between = sizeOf(shape.slice(1, axis))
  lengths.forEach((length, row) => {
    for (let i = 0; i < between; i++) {
      const start = (row * between + i) * shape[axis] * inner
      data.fill(0, start + length * inner, start + shape[axis] * inner)
    }
  })
}
