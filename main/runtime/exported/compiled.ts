/** The sessions of an exported graph's parts, in the variants that runs ask for. */
import { PatchbayError } from '../../../preload/errors'
import type { Provider } from '../../../preload/run'
import type { Part } from '../../onnx/exported/cut'
import { GraphSurgery, type PortSpec } from '../../onnx/exported/surgery'
import { writeModel } from '../../onnx/exported/write'
import { portInput, variantKey, type PortKind, type Variant } from '../graph/variant'
import { Session } from '../session'
import { SESSION_BYTES, SessionPool, type SessionLease } from '../session-pool'
import type { ExportedPlan, PlacedHook } from './plan'

export interface ExportedSessions {
  readonly plan: ExportedPlan
  readonly provider: Provider
  /** Folder that the weights lie in. */
  readonly folder: string
}

/** Name of the output that a hook point is captured in. */
export const captureOutput = (hook: string): string => `capture/${hook}`

export class ExportedGraphs {
  readonly #options: ExportedSessions
  readonly #pool: SessionPool
  readonly #bytes: readonly number[]

  constructor(options: ExportedSessions) {
    this.#options = options
    this.#bytes = options.plan.parts.map(weightBytes)
    // Enough for one variant of every part.
    this.#pool = new SessionPool(this.#bytes.reduce((sum, bytes) => sum + bytes + 2 * SESSION_BYTES, 0))
  }

  get count(): number {
    return this.#pool.count
  }

  /** @throws PatchbayError `run.failed`, `memory.exhausted`, `hook.unavailable` for a port where none can be */
  part(index: number, variant: Variant<string>): Promise<SessionLease> {
    const plain = variant.captures.size === 0 && variant.ports.size === 0
    const key = plain ? `part ${index}` : `part ${index}|${variantKey(variant)}`
    return this.#pool.lease({ key, bytes: plain ? null : this.#bytes[index] }, () => {
      const { provider, folder } = this.#options
      const model = this.#model(index, variant)
      return Session.load(model, `part ${index} of the graph`, { provider, folder, prepack: plain })
    })
  }

  release(): Promise<void> {
    return this.#pool.release()
  }

  #model(index: number, { captures, ports }: Variant<string>): Uint8Array {
    const { plan } = this.#options
    const surgery = withPortsAt(plan, index, ports)
    for (const name of captures) {
      const { place } = plan.hook(name)
      if (place.kind === 'inside') surgery.capture(place.captured, captureOutput(name))
    }
    return writeModel(plan.recognition.view.model, surgery.finish())
  }
}

/** A part that can be changed at hook points. @throws PatchbayError `hook.unavailable` for a port where none can be */
export function withPortsAt(
  plan: ExportedPlan,
  index: number,
  ports: Variant<string>['ports'],
): GraphSurgery {
  const { model } = plan.recognition.view
  const surgery = new GraphSurgery(plan.parts[index].graph, model.opsets.get('') ?? 0)
  for (const [name, kinds] of ports)
    surgery.port(
      changedSite(plan.hook(name)),
      kinds.map((kind, port) => portSpec(name, port, kind)),
    )
  return surgery
}

function changedSite({ name, place }: PlacedHook) {
  if (place.kind === 'inside' && place.changed !== null) return place.changed
  throw new PatchbayError(
    'hook.unavailable',
    `${name} can be read, but not changed: its type or shape is not known.`,
    {
      next: 'Change a value before or behind it.',
      field: name,
    },
  )
}

function portSpec(name: string, index: number, kind: PortKind): PortSpec {
  const input = (part: string): string => portInput(name, index, part)
  return kind === 'affine'
    ? { kind, keep: input('keep'), value: input('value') }
    : { kind, direction: input('direction'), amount: input('amount'), target: input('target') }
}

/** Bytes of the weights that a part reads. */
export function weightBytes({ graph }: Part): number {
  let bytes = 0
  for (const { storage } of graph.initialisers.values())
    bytes += storage.kind === 'inline' ? storage.bytes.length : storage.length
  return bytes
}
