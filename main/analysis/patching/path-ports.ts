/** What path patching changes: everything that is frozen, senders over it, and what receivers heard. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import type { PortsByHook } from '../../runtime/interventions'
import type { AffinePort, PortValue } from '../../runtime/ports'
import { offsetsOf, selectedAxes, type PatchSite } from '../../runtime/wave/site'
import type { RunPair } from './pairs'
import { portsOf } from './rows'
import type { SweepSite } from './sites'
import { need } from './source'

/**
 * Everything frozen holds the base's value, but for the senders, which hold the source's.
 * @param rows senders of each row
 * @param before what is changed in all rows anyway
 */
export function sendingPorts(
  rows: readonly (readonly PatchSite[])[],
  pair: RunPair,
  frozen: readonly string[],
  before: PortsByHook = new Map(),
): PortsByHook {
  const ports = new Map<string, PortValue[]>([...before].map(([hook, values]) => [hook, [...values]]))
  // One port at each hook point, whichever rows send from there: all batches share their graphs.
  const sent = portsOf(rows, pair.source)
  for (const hook of new Set([...frozen, ...sent.keys()])) {
    const sending = sent.get(hook) ?? []
    const fixed = frozen.includes(hook) ? frozenPort(need(pair.base.activations, hook)) : null
    const port = fixed === null ? sending : [sending.length === 0 ? fixed : over(fixed, sending[0])]
    ports.set(hook, [...(ports.get(hook) ?? []), ...port])
  }
  return ports
}

const frozenPort = ({ shape, data }: Tensor): AffinePort => ({
  kind: 'affine',
  keep: { shape: [1, ...shape.map(() => 1)], data: Float32Array.of(0) },
  value: { shape: [1, ...shape], data },
})

/** The frozen value, and the sender's where that replaces it. */
function over(fixed: AffinePort, sending: PortValue): AffinePort {
  if (sending.kind !== 'affine') throw new PatchbayError('internal', 'Senders are replaced, not turned.')
  const { keep, value } = sending
  const size = fixed.value.data.length
  const data = value.data.map((x, i) => (keep.data[i] === 0 ? x : fixed.value.data[i % size]))
  return { kind: 'affine', keep: fixed.keep, value: { shape: value.shape, data } }
}

/** Receivers hold what each row of the first run computed at them. */
export function receivingPorts(
  receivers: readonly SweepSite[],
  captures: ReadonlyMap<string, Tensor>,
  rows: number,
  length: number,
  before: PortsByHook = new Map(),
): PortsByHook {
  const ports = new Map<string, PortValue[]>([...before].map(([hook, values]) => [hook, [...values]]))
  const every = Array.from({ length }, (_, position) => position)
  const byHook = new Map<string, SweepSite[]>()
  for (const receiver of receivers)
    byHook.set(receiver.hook, [...(byHook.get(receiver.hook) ?? []), receiver])
  for (const [hook, sites] of byHook) {
    const captured = captures.get(hook)
    if (captured === undefined) throw new PatchbayError('internal', `The run did not give ${hook}.`)
    const shape = captured.shape.slice(1)
    const size = captured.data.length / rows
    const keep = new Float32Array(captured.data.length).fill(1)
    const value = new Float32Array(captured.data.length)
    for (const site of sites) {
      const offsets = offsetsOf(selectedAxes({ ...site, positions: site.positions ?? every }, shape), shape)
      for (let row = 0; row < rows; row++)
        for (const at of offsets) {
          keep[row * size + at] = 0
          value[row * size + at] = captured.data[row * size + at]
        }
    }
    const port: AffinePort = {
      kind: 'affine',
      keep: { shape: captured.shape, data: keep },
      value: { shape: captured.shape, data: value },
    }
    ports.set(hook, [...(ports.get(hook) ?? []), port])
  }
  return ports
}
