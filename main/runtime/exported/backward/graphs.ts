/** Sessions of an exported graph's parts on the way back, made when a run first asks for gradients. */
import { PatchbayError } from '../../../../preload/errors'
import type { Site } from '../../../onnx/exported/surgery'
import { asItIs } from '../../../onnx/exported/view'
import { writeModel } from '../../../onnx/exported/write'
import { differentiateExported } from '../../../onnx/gradient/exported'
import type { Variant } from '../../graph/variant'
import { variantKey } from '../../graph/variant'
import { Session } from '../../session'
import { SESSION_BYTES, SessionPool, type SessionLease } from '../../session-pool'
import { weightBytes, withPortsAt, type ExportedSessions } from '../compiled'
import type { ExportedPlan, PlacedHook } from '../plan'
import type { PartPass } from './plan'

/** Names of a graph's inputs and outputs. Hook points and values may be called the same, so each kind has its own. */
export const cotangentOf = (value: string): string => `cotangent/value/${value}`
export const cotangentAt = (hook: string): string => `cotangent/hook/${hook}`
export const gradientBy = (value: string): string => `gradient/value/${value}`
export const gradientAt = (hook: string): string => `gradient/hook/${hook}`
export const gradientOf = (parameter: string): string => `gradient/parameter/${parameter}`

/** A written graph, of which a session is made when its turn comes. */
export interface WrittenPass {
  readonly key: string
  readonly part: number
  readonly model: Uint8Array
}

export class ExportedBackwardGraphs {
  readonly #options: ExportedSessions
  readonly #pool: SessionPool
  /** Written graphs by key; weights are not in them. */
  readonly #written = new Map<string, WrittenPass>()

  constructor(options: ExportedSessions) {
    this.#options = options
    const bytes = options.plan.parts.map((part) => weightBytes(part) + 2 * SESSION_BYTES)
    this.#pool = new SessionPool(bytes.reduce((sum, each) => sum + each, 0))
  }

  /** Sessions that are compiled now. */
  get count(): number {
    return this.#pool.count
  }

  /**
   * Differentiates a part; nothing is compiled.
   * @throws PatchbayError `model.unsupported`, naming operator and node, where something on the way has no gradient
   */
  write(pass: PartPass, ports: Variant<string>['ports']): WrittenPass {
    const key = keyOf(pass, ports)
    const known = this.#written.get(key)
    if (known !== undefined) return known
    const { plan } = this.#options
    const model = modelOf(plan, pass, ports)
    const written = { key, part: pass.part, model }
    this.#written.set(key, written)
    return written
  }

  /** @throws PatchbayError `run.failed`, `memory.exhausted` */
  lease({ key, part, model }: WrittenPass): Promise<SessionLease> {
    const { provider, folder, plan } = this.#options
    return this.#pool.lease({ key, bytes: weightBytes(plan.parts[part]) }, () =>
      Session.load(model, `the gradient of part ${part} of the graph`, { provider, folder, prepack: false }),
    )
  }

  release(): Promise<void> {
    return this.#pool.release()
  }
}

function keyOf(
  { part, given, read, earlier, hooks, weights }: PartPass,
  ports: Variant<string>['ports'],
): string {
  const values = (sites: readonly Site[]): string[] => sites.map(({ value }) => value).sort()
  const names = hooks.map(({ name }) => name).sort()
  return JSON.stringify([
    part,
    variantKey({ captures: new Set(), ports }),
    values(given),
    read?.name ?? null,
    values(earlier),
    names,
    weights.toSorted(),
  ])
}

function modelOf(plan: ExportedPlan, pass: PartPass, ports: Variant<string>['ports']): Uint8Array {
  const { model } = plan.recognition.view
  const graph = withPortsAt(plan, pass.part, ports).finish()
  const cotangents = pass.given.map((site) => ({ site, input: cotangentOf(site.value) }))
  if (pass.read !== null) cotangents.push({ site: siteAt(pass.read), input: cotangentAt(pass.read.name) })
  const targets = [
    ...pass.earlier.map((site) => ({ site, output: gradientBy(site.value) })),
    ...pass.hooks.map((hook) => ({ site: siteAt(hook), output: gradientAt(hook.name) })),
    ...pass.weights.map((name) => ({ site: parameter(plan, name), output: gradientOf(name) })),
  ]
  return writeModel(model, differentiateExported({ ...model, graph }, cotangents, targets))
}

/** Where gradients are taken at a hook point inside a part. */
function siteAt({ name, place }: PlacedHook): Site {
  if (place.kind === 'inside') return place.captured
  throw new PatchbayError('internal', `${name} lies between parts.`)
}

function parameter({ recognition }: ExportedPlan, name: string): Site {
  const { type, shape } = recognition.view.model.graph.initialisers.get(name) ?? {
    type: 'float32',
    shape: [],
  }
  return { value: name, type, view: asItIs, rank: shape.length }
}
