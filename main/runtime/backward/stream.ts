/** Gradients on the residual stream between blocks: through what is changed there, and what a metric reads there. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import { rowOffsets, type PortValue } from '../ports'

/** d metric / d x [batch, pos, d_model] from that of what the ports make of x; the gradient itself is left as it is. */
export function throughPorts(gradient: Tensor, ports: readonly PortValue[]): Tensor {
  if (ports.length === 0) return gradient
  const { shape } = gradient
  const data = gradient.data.slice()
  const width = shape[shape.length - 1]
  for (const port of ports.toReversed()) {
    if (port.kind === 'affine') {
      const rows = rowOffsets(port.keep.shape, shape)
      const step = port.keep.shape[port.keep.shape.length - 1] === 1 ? 0 : 1
      for (let row = 0; row < rows.length; row++)
        for (let i = 0; i < width; i++) data[row * width + i] *= port.keep.data[rows[row] + i * step]
    } else {
      // x + amount (target − x·d) d: g − amount (g·d) d
      const directions = rowOffsets(port.direction.shape, shape)
      const amounts = rowOffsets(port.amount.shape, shape)
      for (let row = 0; row < directions.length; row++) {
        const direction = port.direction.data.subarray(directions[row], directions[row] + width)
        const own = data.subarray(row * width, (row + 1) * width)
        let along = 0
        for (let i = 0; i < width; i++) along += own[i] * direction[i]
        const step = port.amount.data[amounts[row]] * along
        for (let i = 0; i < width; i++) own[i] -= step * direction[i]
      }
    }
  }
  return { shape, data }
}

/** The sum of two gradients; null is none. */
export function summed(a: Tensor | null, b: Tensor | null): Tensor | null {
  if (a === null || b === null) return a ?? b
  if (a.data.length !== b.data.length)
    throw new PatchbayError('internal', 'Gradients of different shapes can not be added.')
  return { shape: a.shape, data: a.data.map((x, i) => x + b.data[i]) }
}
