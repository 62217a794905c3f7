/** One run through an exported graph, part after part, with what is captured and changed on the way. */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import { throwIfCancelled } from '../cancelled'
import type { ForwardRequest, ForwardResult } from '../forward'
import { KeyValueCache, type LayerCache } from '../kv'
import type { Layout } from '../layout'
import { applyPorts, kindsOf, withPorts, type PortValue } from '../ports'
import { floatData, floats, type Feeds } from '../session'
import { runLeased } from '../session-pool'
import { captureOutput, type ExportedGraphs } from './compiled'
import { graphFeeds } from './feeds'
import { RAW, type ExportedPlan, type PlacedHook } from './plan'

/** What a backward pass needs of the run before it. */
export interface Traced {
  /** Filled with what each part was fed, ports included. */
  readonly feeds: Map<number, Feeds>
  /** Hook points that the run must compute, beside those that it captures and changes. */
  readonly hooks: readonly PlacedHook[]
}

export class ExportedRun {
  readonly #captures = new Map<string, Tensor>()
  /** What parts hand on to later ones, and what is fed from outside. */
  readonly #values: Feeds
  readonly #wanted: readonly PlacedHook[]
  readonly #changed: ReadonlyMap<string, readonly PortValue[]>
  readonly #outputs: OrtTensor[] = []

  constructor(
    private readonly plan: ExportedPlan,
    private readonly graphs: ExportedGraphs,
    private readonly layout: Layout,
    private readonly request: ForwardRequest,
    contextLength: number,
    private readonly traced: Traced | null = null,
  ) {
    const { start, cache } = request
    const rows = start.kind === 'tokens' ? start.rows : start.lengths.map(() => [])
    this.#values = graphFeeds(plan.recognition, { layout, rows, cache, contextLength })
    this.#wanted = (request.captures ?? []).map((name) => plan.hook(name))
    this.#changed = request.ports ?? new Map<string, readonly PortValue[]>()
  }

  async run(): Promise<ForwardResult> {
    const { start, signal, onProgress } = this.request
    const blocks = this.plan.parts.length - 2
    const first = start.kind === 'tokens' ? 0 : start.layer
    const stop = this.request.stopLayer ?? Math.max(0, blocks)
    this.#check(first, stop)
    throwIfCancelled(signal)
    if (blocks < 1) return this.#whole()

    let x = await this.#begin()
    for (let layer = first; layer < stop; layer++) {
      throwIfCancelled(signal)
      x = this.#between(x, layer, 'hook_resid_pre')
      x = await this.#block(layer, x)
      x = this.#between(x, layer + 1, 'hook_resid_post')
      onProgress?.(layer - first + 1, stop - first)
    }
    throwIfCancelled(signal)
    const logits = stop === blocks ? await this.#unembed(x) : null
    return { captures: this.#captures, logits, residual: x, cache: this.#cache() }
  }

  /** The graph in one piece: nothing lies between parts. */
  async #whole(): Promise<ForwardResult> {
    const { logits: wanted = 'none' } = this.request
    const { all, out } = await this.#logits(0, this.#presents(null))
    this.#keepPresents(out, null)
    return {
      captures: this.#captures,
      logits: wanted === 'none' ? null : wanted === 'last' ? lastOf(this.layout, all) : all,
      residual: { shape: [0], data: new Float32Array(0) },
      cache: this.#cache(),
    }
  }

  /** The embedding, and what it hands on to later parts; of a run that starts behind it only the latter counts. */
  async #begin(): Promise<Tensor> {
    const { start } = this.request
    const { to } = this.plan.parts[0]
    const embedded = await this.#part(0, to === null ? [] : [to])
    if (start.kind === 'residual') return start.residual
    return floatTensor(embedded[to ?? ''])
  }

  async #block(layer: number, x: Tensor): Promise<Tensor> {
    const { from, to } = this.plan.parts[layer + 1]
    this.#values[from ?? ''] = floats(x.data, x.shape)
    const out = await this.#part(layer + 1, [to ?? '', ...this.#presents(layer)])
    this.#keepPresents(out, layer)
    return floatTensor(out[to ?? ''])
  }

  async #unembed(x: Tensor): Promise<Tensor | null> {
    const { logits: wanted = 'none' } = this.request
    const last = this.plan.parts.length - 1
    const { from, carried } = this.plan.parts[last]
    const touched = this.#inside(last)
    if (wanted === 'none' && touched.captures.length === 0) return null
    // Where nothing in this part knows how long the rows are, the other positions need not be computed.
    const short =
      wanted === 'last' && carried.size === 0 && touched.captures.length + touched.ports.size === 0
    const rows = short ? lastOf(this.layout, x) : x
    this.#values[from ?? ''] = floats(rows.data, rows.shape)
    const { all } = await this.#logits(last, [])
    if (wanted === 'none') return null
    return wanted === 'last' && !short ? lastOf(this.layout, all) : all
  }

  /** Runs the part that makes the logits; those of another type are captured, which makes float32 of them. */
  async #logits(
    part: number,
    outputs: readonly string[],
  ): Promise<{ all: Tensor; out: Record<string, OrtTensor> }> {
    const { logits, view } = this.plan.recognition
    if (view.type(logits) === 'float32') {
      const out = await this.#part(part, [logits, ...outputs])
      return { all: floatTensor(out[logits]), out }
    }
    const raw = this.plan.hook(`${RAW}${logits}`)
    const out = await this.#part(part, outputs, raw)
    return { all: floatTensor(out[captureOutput(raw.name)]), out }
  }

  /** Runs a part in the variant that this run needs, and keeps what it captures and hands on. */
  async #part(
    index: number,
    outputs: readonly string[],
    besides?: PlacedHook,
  ): Promise<Record<string, OrtTensor>> {
    const { graph } = this.plan.parts[index]
    const { captures, ports } = this.#inside(index)
    const names = [...captures, ...(besides === undefined ? [] : [besides])].map(({ name }) => name)
    const lease = await this.graphs.part(index, { captures: new Set(names), ports: kindsOf(ports) })
    const later = this.plan.parts.slice(index + 1)
    const handed = graph.outputs
      .map(({ name }) => name)
      .filter((name) => later.some(({ carried }) => carried.has(name)))
    const fed: Feeds = {}
    for (const { name } of graph.inputs) fed[name] = this.#values[name]
    const wanted = new Set([...outputs, ...handed, ...names.map(captureOutput)])
    const all = withPorts(fed, ports)
    this.traced?.feeds.set(index, all)
    const out = await runLeased(lease, all, [...wanted])
    for (const name of handed) this.#values[name] = out[name]
    for (const hook of captures) this.#keep(hook, floatTensor(out[captureOutput(hook.name)]))
    return out
  }

  /** The hook points that this run touches inside a part. */
  #inside(index: number): { captures: PlacedHook[]; ports: Map<string, readonly PortValue[]> } {
    const isIn = ({ place }: PlacedHook): boolean => place.kind === 'inside' && place.part === index
    const ports = [...this.#changed].filter(([name]) => isIn(this.plan.hook(name)))
    return { captures: this.#wanted.filter(isIn), ports: new Map(ports) }
  }

  /** The residual stream at a cut, under one of its two names: changed and captured without any graph. */
  #between(x: Tensor, cut: number, site: 'hook_resid_pre' | 'hook_resid_post'): Tensor {
    const layer = site === 'hook_resid_pre' ? cut : cut - 1
    const name = `blocks.${layer}.${site}`
    const changed = applyPorts(x, this.#changed.get(name) ?? [])
    if (this.#wanted.some((hook) => hook.name === name)) this.#captures.set(name, changed)
    return changed
  }

  #keep(hook: PlacedHook, tensor: Tensor): void {
    const [rows] = tensor.shape
    const { batch } = this.layout
    const same = !hook.shared && hook.dims[0] === 'batch' && rows === 1 && batch > 1
    this.#captures.set(hook.name, same ? repeated(tensor, batch) : tensor)
  }

  #presents(layer: number | null): string[] {
    if (this.request.keepCache !== true) return []
    const past = this.plan.decoder?.past ?? []
    return past
      .filter((_, i) => layer === null || i === layer)
      .flatMap(({ key, value }) => [key.present, value.present])
  }

  #keepPresents(out: Record<string, OrtTensor>, layer: number | null): void {
    this.#outputs.push(...this.#presents(layer).map((name) => out[name]))
  }

  /** Keys and values for a next run; without any where the graph gives none, and its positions are computed again. */
  #cache(): KeyValueCache | null {
    if (this.request.keepCache !== true) return null
    const layers: LayerCache[] = []
    for (let i = 0; i < this.#outputs.length; i += 2)
      layers.push({ key: this.#outputs[i], value: this.#outputs[i + 1] })
    return KeyValueCache.after(this.layout, this.request.cache, layers)
  }

  #check(first: number, stop: number): void {
    const { parts, whole } = this.plan
    const blocks = parts.length - 2
    if (whole !== null && (this.request.start.kind === 'residual' || this.request.stopLayer !== undefined))
      throw invalid(`this graph is run as a whole, because ${whole}`)
    if (first > stop || stop > Math.max(0, blocks))
      throw invalid(`there are ${blocks} blocks, and the run would go from ${first} to ${stop}`)
    if (this.request.start.kind === 'residual' && !this.plan.startsAt(first))
      throw invalid(`block ${first} needs more of the blocks before than their residual stream`)
    if (whole !== null) return
    const changed = [...this.#changed.keys()].map((name) => this.plan.hook(name))
    for (const hook of [...this.#wanted, ...changed, ...(this.traced?.hooks ?? [])])
      if (!this.#isComputed(hook, first, stop))
        throw new PatchbayError(
          'hook.unavailable',
          `${hook.name} is not computed by a run from block ${first} to before block ${stop}.`,
          { next: 'Start earlier, stop later, or leave it out.', field: hook.name },
        )
  }

  #isComputed({ name, place }: PlacedHook, first: number, stop: number): boolean {
    const blocks = this.plan.parts.length - 2
    if (place.kind === 'between') {
      const layer = name.endsWith('hook_resid_pre') ? place.cut : place.cut - 1
      return layer >= first && layer < stop
    }
    if (place.part === 0) return this.request.start.kind === 'tokens'
    return place.part > first && (place.part <= stop || (place.part === blocks + 1 && stop === blocks))
  }
}

const invalid = (why: string): PatchbayError =>
  new PatchbayError('input.invalid', `The run can not start or stop there: ${why}.`, {
    next: 'Run it from the tokens to the logits, and capture what you need.',
    field: 'start.layer',
  })

/** Each row's last real column of x [batch, pos, width] → [batch, 1, width]. */
export function lastOf({ own }: Layout, { shape: [batch, columns, width], data: all }: Tensor): Tensor {
  const data = new Float32Array(batch * width)
  own.forEach((length, row) => {
    const start = (row * columns + length - 1) * width
    data.set(all.subarray(start, start + width), row * width)
  })
  return { shape: [batch, 1, width], data }
}

const floatTensor = (tensor: OrtTensor): Tensor => ({ shape: tensor.dims, data: floatData(tensor) })

/** A tensor [1, …] once for each row. */
function repeated({ shape, data }: Tensor, rows: number): Tensor {
  const all = new Float32Array(rows * data.length)
  for (let row = 0; row < rows; row++) all.set(data, row * data.length)
  return { shape: [rows, ...shape.slice(1)], data: all }
}
