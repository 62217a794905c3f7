/**
 * What a run feeds to the ports at a hook point, and the same arithmetic on the residual stream between blocks, where
 * no port is needed.
 */
import { hookName, type HookPoint } from '../../preload/hooks'
import { sizeOf, type Tensor } from '../../preload/tensor'
import type { PortKind } from './graph/variant'
import { portInput } from './graph/variant'
import { floats, type Feeds } from './session'

/** x ← keep ⊙ x + value; both broadcast to the hook point's shape. */
export interface AffinePort {
  readonly kind: 'affine'
  readonly keep: Tensor
  readonly value: Tensor
}

/** x ← x + amount ⊙ (target − x·d̂) d̂ on [batch, pos, d_model]; d̂ has length 1, amount and target end in an axis of 1. */
export interface DirectionPort {
  readonly kind: 'direction'
  readonly direction: Tensor
  readonly amount: Tensor
  readonly target: Tensor
}

export type PortValue = AffinePort | DirectionPort

/** What is fed at those of `sites` where anything is changed. */
export function portsAt<Site extends string>(
  ports: ReadonlyMap<string, readonly PortValue[]> | undefined,
  sites: readonly Site[],
  at: (site: Site) => HookPoint,
): Map<Site, readonly PortValue[]> {
  const found = new Map<Site, readonly PortValue[]>()
  if (ports === undefined || ports.size === 0) return found
  for (const site of sites) {
    const values = ports.get(hookName(at(site)))
    if (values !== undefined && values.length > 0) found.set(site, values)
  }
  return found
}

/** The kinds of ports that a graph must have for these values. */
export const kindsOf = <Site>(ports: ReadonlyMap<Site, readonly PortValue[]>): Map<Site, PortKind[]> =>
  new Map([...ports].map(([site, values]) => [site, values.map(({ kind }) => kind)]))

/** The feeds of a graph together with those of its ports. */
export function withPorts(feeds: Feeds, ports: ReadonlyMap<string, readonly PortValue[]>): Feeds {
  const all = { ...feeds }
  for (const [site, values] of ports)
    values.forEach((port, index) => {
      const feed = (part: string, { data, shape }: Tensor): void => {
        all[portInput(site, index, part)] = floats(data, shape)
      }
      if (port.kind === 'affine') {
        feed('keep', port.keep)
        feed('value', port.value)
      } else {
        feed('direction', port.direction)
        feed('amount', port.amount)
        feed('target', port.target)
      }
    })
  return all
}

/** Applies ports to the residual stream x [batch, pos, d_model]; x itself is left as it is. */
export function applyPorts(x: Tensor, ports: readonly PortValue[]): Tensor {
  if (ports.length === 0) return x
  const data = x.data.slice()
  const width = x.shape[x.shape.length - 1]
  for (const port of ports) {
    if (port.kind === 'affine') affine(data, x.shape, port)
    else direction(data, x.shape, width, port)
  }
  return { shape: x.shape, data }
}

function affine(data: Float32Array, shape: readonly number[], { keep, value }: AffinePort): void {
  const width = shape[shape.length - 1]
  const keepWidth = keep.shape[keep.shape.length - 1]
  const valueWidth = value.shape[value.shape.length - 1]
  const keepRows = rowOffsets(keep.shape, shape)
  const valueRows = rowOffsets(value.shape, shape)
  for (let row = 0; row < keepRows.length; row++)
    for (let i = 0; i < width; i++) {
      const k = keep.data[keepRows[row] + (keepWidth === 1 ? 0 : i)]
      const v = value.data[valueRows[row] + (valueWidth === 1 ? 0 : i)]
      // What is replaced may be infinite: 0 · ∞ is no number.
      data[row * width + i] = k === 0 ? v : k * data[row * width + i] + v
    }
}

function direction(data: Float32Array, shape: readonly number[], width: number, port: DirectionPort): void {
  const directions = rowOffsets(port.direction.shape, shape)
  const amounts = rowOffsets(port.amount.shape, shape)
  const targets = rowOffsets(port.target.shape, shape)
  for (let row = 0; row < directions.length; row++) {
    const amount = port.amount.data[amounts[row]]
    if (amount === 0) continue
    let along = 0
    for (let i = 0; i < width; i++) along += data[row * width + i] * port.direction.data[directions[row] + i]
    const step = amount * (port.target.data[targets[row]] - along)
    for (let i = 0; i < width; i++) data[row * width + i] += step * port.direction.data[directions[row] + i]
  }
}

/** For each row (all axes but the last) of `shape`, where its row begins in a tensor of `source` that broadcasts to it. */
export function rowOffsets(source: readonly number[], shape: readonly number[]): Int32Array {
  const leading = shape.slice(0, -1)
  const strides = leading.map((_, axis) => (source[axis] === 1 ? 0 : sizeOf(source.slice(axis + 1))))
  const offsets = new Int32Array(sizeOf(leading))
  for (let row = 0; row < offsets.length; row++) {
    let rest = row
    let offset = 0
    for (let axis = leading.length - 1; axis >= 0; axis--) {
      offset += (rest % leading[axis]) * strides[axis]
      rest = Math.floor(rest / leading[axis])
    }
    offsets[row] = offset
  }
  return offsets
}
