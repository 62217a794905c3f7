/**
 * A run of an exported graph and the way back: part after part in reverse, each computing again inside what its gradients
 * need, so that what is kept of the run is what its parts were fed.
 */
import { PatchbayError } from '../../../../preload/errors'
import { sizeOf, type Tensor } from '../../../../preload/tensor'
import type { BackwardResult } from '../../backward/run'
import { invalid } from '../../backward/faults'
import { metricOfLogits } from '../../backward/logits'
import { clearPadding, projectionCotangent, projectionValues } from '../../backward/projection'
import { summed, throughPorts } from '../../backward/stream'
import { throwIfCancelled } from '../../cancelled'
import type { ForwardRequest, ForwardResult } from '../../forward'
import type { Layout } from '../../layout'
import { kindsOf, type PortValue } from '../../ports'
import { floatData, floats, type Feeds } from '../../session'
import { runLeased } from '../../session-pool'
import type { ExportedGraphs } from '../compiled'
import { ExportedRun, lastOf } from '../forward'
import type { ExportedPlan } from '../plan'
import {
  cotangentAt,
  cotangentOf,
  gradientAt,
  gradientBy,
  gradientOf,
  type ExportedBackwardGraphs,
  type WrittenPass,
} from './graphs'
import type { ExportedBackwardPlan, PartPass } from './plan'

export interface ExportedBackwardParts {
  readonly plan: ExportedPlan
  readonly graphs: ExportedGraphs
  readonly backward: ExportedBackwardGraphs
  readonly layout: Layout
  readonly contextLength: number
}

export class ExportedBackwardRun {
  readonly #ports: ReadonlyMap<string, readonly PortValue[]>
  readonly #kept = new Map<string, Tensor>()
  readonly #weights: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>
  /** What each part was fed. */
  readonly #feeds = new Map<number, Feeds>()
  /** Gradients by values that later parts read. */
  readonly #pending = new Map<string, Tensor>()
  readonly #written: readonly { readonly pass: PartPass; readonly graph: WrittenPass }[]

  /** @throws PatchbayError `model.unsupported`, naming the operator, where something on the way has no gradient */
  constructor(
    private readonly parts: ExportedBackwardParts,
    private readonly request: ForwardRequest,
    private readonly wanted: ExportedBackwardPlan,
  ) {
    this.#ports = rowwise(parts, wanted, request.ports ?? new Map<string, readonly PortValue[]>())
    this.#weights = new Map(
      [...wanted.weights].map(([name, shape]) => [name, { shape, data: new Float32Array(sizeOf(shape)) }]),
    )
    this.#written = wanted.passes.map((pass) => ({
      pass,
      graph: parts.backward.write(pass, kindsOf(this.#portsIn(pass.part))),
    }))
  }

  async run(): Promise<BackwardResult> {
    const { signal, onProgress } = this.request
    let before = 0
    const forward = await this.#forward((done, total) => {
      before = total
      onProgress?.(done, total + this.#written.length)
    })
    throwIfCancelled(signal)
    const metric = this.#begin(forward)
    const { parts } = this.parts.plan
    let done = 0
    for (let part = parts.length - 1; part >= 0; part--) {
      const { to } = parts[part]
      if (to !== null) this.#between(to, part)
      const written = this.#written.find(({ pass }) => pass.part === part)
      if (written === undefined) continue
      throwIfCancelled(signal)
      await this.#part(written.pass, written.graph)
      onProgress?.(before + ++done, before + this.#written.length)
    }
    const { captures = [], logits = 'none' } = this.request
    const asked = new Set(captures)
    return {
      captures: new Map([...forward.captures].filter(([name]) => asked.has(name))),
      logits: this.#logits(forward.logits, logits),
      residual: forward.residual,
      metric: { shape: [this.parts.layout.batch], data: metric },
      gradients: this.#complete(),
      weightGradients: this.#weights,
    }
  }

  /** The run itself: with the logits that the metric reads, and the hook point, if it reads one. */
  #forward(onProgress: (done: number, total: number) => void): Promise<ForwardResult> {
    const { plan, graphs, layout, contextLength } = this.parts
    const { read, hooks } = this.wanted
    const { captures = [], logits = 'none' } = this.request
    const request: ForwardRequest = {
      ...this.request,
      ports: this.#ports,
      captures: [...new Set([...captures, ...(read === null ? [] : [read.name])])],
      logits: read === null ? (this.#readsLast(logits) ? 'last' : 'all') : logits,
      keepCache: false,
      onProgress,
    }
    const traced = { feeds: this.#feeds, hooks: [...hooks.values()] }
    return new ExportedRun(plan, graphs, layout, request, contextLength, traced).run()
  }

  /** Whether each row's last position is all that is computed behind the blocks. */
  #readsLast(logits: ForwardRequest['logits']): boolean {
    const { metric, passes } = this.wanted
    const { own } = this.parts.layout
    const end = passes.find(({ part }) => part === this.parts.plan.parts.length - 1)
    if (logits === 'all' || metric.kind === 'projection' || (end?.hooks.length ?? 0) > 0) return false
    return metric.places.every(({ row, position }) => position === own[row] - 1)
  }

  /** The metric of each row, and the gradients that the way back begins with. */
  #begin({ logits, captures }: ForwardResult): Float32Array {
    const { metric, read } = this.wanted
    const { plan, layout } = this.parts
    if (metric.kind === 'projection') {
      const x = captures.get(read?.name ?? '')
      if (read === null || x === undefined)
        throw new PatchbayError('internal', 'The metric’s hook point was not kept.')
      const cotangent = projectionCotangent(metric, layout)
      if (x.shape.join() !== cotangent.shape.join())
        throw invalid(
          `${read.name} has the shape [${x.shape.join(', ')}], of which only a part is known before it runs`,
          'Read a metric at another hook point.',
        )
      const values = projectionValues(x, cotangent)
      this.#pending.set(readKey(read.name), cotangent)
      return values
    }
    if (logits === null) throw new PatchbayError('internal', 'The run gave no logits.')
    const [batch, columns, vocab] = logits.shape
    const gradient: Tensor = { shape: logits.shape, data: new Float32Array(logits.data.length) }
    const values = new Float64Array(batch)
    for (const place of metric.places) {
      const start = (place.row * columns + (columns === 1 ? 0 : place.position)) * vocab
      const [at, by] = [logits, gradient].map(({ data }) => data.subarray(start, start + vocab))
      values[place.row] += metricOfLogits(metric.kind, place, at, by)
    }
    this.#pending.set(plan.recognition.logits, this.#spreadLogits(gradient))
    return Float32Array.from(values)
  }

  /** In the shape in which the last part computes them: it may have been fed more positions than were asked for. */
  #spreadLogits(gradient: Tensor): Tensor {
    const { plan, layout } = this.parts
    const last = plan.parts.length - 1
    const from = plan.parts[last].from
    const columns = from === null ? layout.queries : this.#feeds.get(last)?.[from].dims[1]
    return columns === gradient.shape[1] ? gradient : atLast(layout, gradient)
  }

  /** Through a cut: its two hook points, and what is changed there. */
  #between(value: string, cut: number): void {
    let gradient = this.#pending.get(value) ?? null
    const last = this.parts.plan.parts.length - 2
    if (gradient !== null && cut === last && gradient.shape[1] !== this.parts.layout.queries)
      gradient = atLast(this.parts.layout, gradient)
    for (const [layer, site] of [
      [cut, 'hook_resid_pre'],
      [cut - 1, 'hook_resid_post'],
    ] as const) {
      const name = `blocks.${layer}.${site}`
      gradient = summed(gradient, this.#pending.get(readKey(name)) ?? null)
      if (gradient === null) continue
      if (this.wanted.hooks.has(name)) this.#keep(name, gradient)
      gradient = throughPorts(gradient, this.#ports.get(name) ?? [])
    }
    if (gradient !== null) this.#pending.set(value, gradient)
  }

  async #part(pass: PartPass, graph: WrittenPass): Promise<void> {
    const feeds: Feeds = { ...this.#feeds.get(pass.part) }
    for (const { value } of pass.given) {
      const { data, shape } = this.#pending.get(value) ?? this.#missing(value)
      feeds[cotangentOf(value)] = floats(data, shape)
    }
    if (pass.read !== null) {
      const { data, shape } = this.#pending.get(readKey(pass.read.name)) ?? this.#missing(pass.read.name)
      feeds[cotangentAt(pass.read.name)] = floats(data, shape)
    }
    const lease = await this.parts.backward.lease(graph)
    const own = Object.fromEntries(
      Object.entries(feeds).filter(([name]) => lease.session.inputs.includes(name)),
    )
    const outputs = [
      ...pass.earlier.map(({ value }) => gradientBy(value)),
      ...pass.hooks.map(({ name }) => gradientAt(name)),
      ...pass.weights.map(gradientOf),
    ]
    const out = await runLeased(lease, own, outputs)
    const tensor = (name: string): Tensor => ({ shape: out[name].dims, data: floatData(out[name]) })
    for (const { value } of pass.earlier)
      this.#pending.set(
        value,
        summed(this.#pending.get(value) ?? null, tensor(gradientBy(value))) ?? this.#missing(value),
      )
    for (const { name } of pass.hooks) this.#keep(name, tensor(gradientAt(name)))
    for (const name of pass.weights) {
      const sum = this.#weights.get(name)?.data
      floatData(out[gradientOf(name)]).forEach((x, i) => sum !== undefined && (sum[i] += x))
    }
  }

  #missing(name: string): never {
    throw new PatchbayError('internal', `There is no gradient by ${name}.`)
  }

  #portsIn(part: number): Map<string, readonly PortValue[]> {
    const { plan } = this.parts
    return new Map(
      [...this.#ports].filter(([name]) => {
        const { place } = plan.hook(name)
        return place.kind === 'inside' && place.part === part
      }),
    )
  }

  #keep(name: string, gradient: Tensor): void {
    const { dims } = this.parts.plan.hook(name)
    const { lengths } = this.parts.layout
    const own = { shape: gradient.shape, data: gradient.data.slice() }
    if (own.shape[0] === lengths.length && dims.some((dim) => dim === 'pos' || dim === 'q_pos'))
      clearPadding(own, dims, lengths)
    this.#kept.set(name, own)
  }

  /** All that are wanted; zeros at hook points that the metric does not depend on. */
  #complete(): ReadonlyMap<string, Tensor> {
    const { batch, queries } = this.parts.layout
    const run: Record<string, number | undefined> = { batch, pos: queries, q_pos: queries, k_pos: queries }
    for (const { name, dims, sizes } of this.wanted.hooks.values()) {
      if (this.#kept.has(name)) continue
      const shape = dims.map((dim, axis) => run[dim] ?? sizes[axis] ?? 1)
      this.#kept.set(name, { shape, data: new Float32Array(sizeOf(shape)) })
    }
    return this.#kept
  }

  #logits(logits: Tensor | null, wanted: ForwardRequest['logits']): Tensor | null {
    if (logits === null || wanted === 'none') return null
    return wanted === 'last' && logits.shape[1] !== 1 ? lastOf(this.parts.layout, logits) : logits
  }
}

/** Key of what the metric's hook point begins with; no value of a graph has an empty name. */
const readKey = (hook: string): string => `\0${hook}`

/** Of each row's last position [batch, 1, width] → [batch, pos, width], 0 elsewhere. */
function atLast({ own, batch, queries }: Layout, { shape, data: last }: Tensor): Tensor {
  const width = shape[shape.length - 1]
  const data = new Float32Array(batch * queries * width)
  own.forEach((length, row) =>
    data.set(last.subarray(row * width, (row + 1) * width), (row * queries + length - 1) * width),
  )
  return { shape: [batch, queries, width], data }
}

/**
 * Ports that make a value of its own for each row of what a graph keeps once for all of them (positions): without it, the
 * rows' gradients would come out as their sum.
 */
function rowwise(
  { plan, layout }: ExportedBackwardParts,
  { hooks, read }: ExportedBackwardPlan,
  ports: ReadonlyMap<string, readonly PortValue[]>,
): ReadonlyMap<string, readonly PortValue[]> {
  const { batch } = layout
  if (batch === 1) return ports
  const all = new Map(ports)
  for (const { name, dims, place, shared } of [...hooks.values(), ...(read === null ? [] : [read])]) {
    if (place.kind !== 'inside' || shared || plan.recognition.view.shape(place.captured.value)?.[0] !== 1)
      continue
    const ones = [batch, ...dims.slice(1).map(() => 1)]
    const keep = { shape: ones, data: new Float32Array(batch).fill(1) }
    const value = { shape: dims.map(() => 1), data: new Float32Array(1) }
    all.set(name, [...(all.get(name) ?? []), { kind: 'affine', keep, value }])
  }
  return all
}
