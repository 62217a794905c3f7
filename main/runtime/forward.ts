/** One run through the block stack: embeds, runs block after block, captures and changes what lies between them, unembeds. */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../preload/errors'
import {
  blockSites,
  hookDims,
  hookName,
  parseHook,
  type BlockSite,
  type Dim,
  type HookPoint,
  type OuterSite,
} from '../../preload/hooks'
import type { Tensor } from '../../preload/tensor'
import { hookSizes } from '../models/hook-points'
import type { TransformerSpec } from '../models/spec'
import { throwIfCancelled } from './cancelled'
import { runLeased, type CompiledGraphs } from './compiled'
import { derive, planCaptures } from './derive'
import type { PortsByHook } from './interventions'
import { KeyValueCache, type LayerCache } from './kv'
import { columnPositions, joinColumns, SharedInputs, type Layout } from './layout'
import { applyPorts, kindsOf, withPorts, type PortValue } from './ports'
import { floatData, floats, int64s, type Feeds } from './session'

export interface ForwardRequest {
  /** Token ids of each row (padded on the right where rows differ in length), or a residual stream to go on from. */
  readonly start:
    | { readonly kind: 'tokens'; readonly rows: readonly (readonly number[])[] }
    | {
        readonly kind: 'residual'
        /** Block whose input this is; the number of blocks for the final residual stream. */
        readonly layer: number
        /** [batch, pos, d_model] */
        readonly residual: Tensor
        /** Columns of each row that are real. */
        readonly lengths: readonly number[]
      }
  /** Keys and values of the positions before; the run's own are appended to a new cache if `keepCache`. */
  readonly cache?: KeyValueCache
  readonly keepCache?: boolean
  /** Stop before this block. */
  readonly stopLayer?: number
  readonly captures?: readonly HookPoint[]
  /** What the ports are fed, laid out for `layoutOf` this request. */
  readonly ports?: PortsByHook
  readonly logits?: 'none' | 'last' | 'all'
  readonly signal?: AbortSignal
  /** Blocks done of all that this run computes. */
  readonly onProgress?: (done: number, total: number) => void
}

export interface ForwardResult {
  /** Canonical hook name → activation, after what was changed there. Arrays may be shared: do not write into them. */
  readonly captures: ReadonlyMap<string, Tensor>
  /** [batch, pos, d_vocab] for all, [batch, 1, d_vocab] for last */
  readonly logits: Tensor | null
  /** The residual stream where the run stopped: the input of `stopLayer`, or the output of the last block. */
  readonly residual: Tensor
  readonly cache: KeyValueCache | null
}

/** One run through the stack. */
export class ForwardRun {
  readonly #shared: SharedInputs
  readonly #captures = new Map<string, Tensor>()
  readonly #wanted: ReadonlySet<string>
  readonly #layers: (LayerCache | null)[] = []

  constructor(
    private readonly spec: TransformerSpec,
    private readonly graphs: CompiledGraphs,
    private readonly layout: Layout,
    private readonly request: ForwardRequest,
  ) {
    this.#shared = new SharedInputs(layout)
    this.#wanted = new Set((request.captures ?? []).map(hookName))
  }

  async run(): Promise<ForwardResult> {
    const { start, keepCache = false, signal, onProgress } = this.request
    const first = start.kind === 'tokens' ? 0 : start.layer
    const stop = this.request.stopLayer ?? this.spec.blocks.length
    this.#checkRange(first, stop)
    throwIfCancelled(signal)
    let x = start.kind === 'tokens' ? await this.#embed(start.rows) : start.residual
    for (let layer = first; layer < stop; layer++) {
      throwIfCancelled(signal)
      x = this.#between(x, { layer, site: 'hook_resid_pre' })
      x = await this.#block(layer, x, keepCache)
      x = this.#between(x, { layer, site: 'hook_resid_post' })
      onProgress?.(layer - first + 1, stop - first)
    }
    throwIfCancelled(signal)
    const logits = stop === this.spec.blocks.length ? await this.#unembed(x) : null
    return { captures: this.#captures, logits, residual: x, cache: keepCache ? this.#cache() : null }
  }

  /** Hook points between blocks: changed and captured here, without any graph. */
  #between(x: Tensor, point: HookPoint): Tensor {
    const name = hookName(point)
    const changed = applyPorts(x, this.request.ports?.get(name) ?? [])
    if (this.#wanted.has(name)) this.#captures.set(name, changed)
    return changed
  }

  async #embed(rows: readonly (readonly number[])[]): Promise<Tensor> {
    const { batch, queries, queryPositions } = this.layout
    const shape = [batch, queries]
    const sites: OuterSite[] = ['hook_embed', 'hook_pos_embed']
    const ports = this.#portsAt(sites, outer)
    const ids = rows.flatMap((row) => [...row, ...Array<number>(queries - row.length).fill(0)])
    const feeds: Feeds = { tokens: int64s(ids, shape) }
    const table = this.spec.embedding.positions
    if (table !== null) {
      const last = table.table.shape[0] - 1
      const places = Array.from(queryPositions, (position) =>
        Math.min(last, Math.max(0, position) + table.offset),
      )
      feeds.positions = int64s(places, shape)
    }
    const lease = await this.graphs.embedding({ captures: new Set(), ports: kindsOf(ports) })
    const out = await runLeased(lease, withPorts(feeds, ports), ['resid', ...this.#wantedOf(sites, outer)])
    for (const site of this.#wantedOf(sites, outer)) this.#keep(outer(site), out[site])
    return { shape: [...shape, this.spec.dModel], data: floatData(out.resid) }
  }

  async #block(layer: number, x: Tensor, keepCache: boolean): Promise<Tensor> {
    const { attention } = this.spec.blocks[layer]
    const { batch, queries } = this.layout
    const at = (site: BlockSite): HookPoint => ({ layer, site })
    const ports = this.#portsAt(graphSites, at)
    const plan = planCaptures(this.spec, layer, this.#wantedOf(graphSites, at), ports.size > 0)
    const past = this.request.cache?.layers[layer] ?? emptyLayer(batch, attention.kvHeads, attention.headDim)
    if (this.layout.past > 0 && past.key.dims[2] !== this.layout.past)
      throw new PatchbayError('internal', `The cache has no keys and values of block ${layer}.`)
    const resid = floats(x.data, [batch * queries, this.spec.dModel])
    const bias = this.#shared.bias(attention)
    const feeds: Feeds = {
      resid,
      bias,
      past_key: past.key,
      past_value: past.value,
      ...(attention.rope === null ? {} : this.#shared.angles(this.spec.ropes[attention.rope])),
    }
    const lease = await this.graphs.block(layer, { captures: plan.inGraph, ports: kindsOf(ports) })
    const cached = keepCache ? ['present_key', 'present_value'] : []
    const outputs = new Set(['resid_out', ...cached, ...plan.direct, ...plan.inGraph, ...plan.sources])
    const out = await runLeased(lease, withPorts(feeds, ports), [...outputs])
    for (const site of [...plan.direct, ...plan.inGraph]) this.#keep(at(site), out[site])
    if (plan.derived.size > 0) {
      const derived = await derive(this.graphs, layer, plan, { ...out, resid }, bias)
      for (const [site, tensor] of derived) this.#keep(at(site), tensor)
    }
    if (keepCache) this.#layers[layer] = { key: out.present_key, value: out.present_value }
    return { shape: x.shape, data: floatData(out.resid_out) }
  }

  async #unembed(x: Tensor): Promise<Tensor | null> {
    const { logits = 'none' } = this.request
    const sites: OuterSite[] = ['ln_final.hook_scale', 'ln_final.hook_normalized']
    const ports = this.#portsAt(sites, outer)
    const wanted = this.#wantedOf(sites, outer)
    const { norm } = this.spec.unembedding
    const changed = ports.size > 0
    if (!changed && wanted.length > 0 && norm !== null) {
      const lease = await this.graphs.norm(norm, this.spec.dModel)
      const parts = wanted.map((site) => (site === 'ln_final.hook_scale' ? 'scale' : 'normalized'))
      const flat = floats(x.data, [x.data.length / this.spec.dModel, this.spec.dModel])
      const out = await runLeased(lease, { x: flat }, parts)
      wanted.forEach((site, i) => this.#keep(outer(site), out[parts[i]]))
    }
    if (logits === 'none' && !(changed && wanted.length > 0)) return null
    // What is changed in the final norm is laid out over all positions, so then all are computed.
    const rows = logits === 'last' && !changed ? this.#lastOf(x) : x
    const captures = changed ? wanted : []
    const lease = await this.graphs.unembedding({ captures: new Set(captures), ports: kindsOf(ports) })
    const out = await runLeased(lease, withPorts({ resid: floats(rows.data, rows.shape) }, ports), [
      'logits',
      ...captures,
    ])
    for (const site of captures) this.#keep(outer(site), out[site])
    if (logits === 'none') return null
    const all: Tensor = {
      shape: [rows.shape[0], rows.shape[1], this.spec.vocab],
      data: floatData(out.logits),
    }
    return logits === 'last' && changed ? this.#lastOf(all) : all
  }

  #keep(point: HookPoint, tensor: OrtTensor): void {
    this.#captures.set(hookName(point), { shape: this.#shapeOf(point), data: floatData(tensor) })
  }

  #wantedOf<Site extends string>(sites: readonly Site[], at: (site: Site) => HookPoint): Site[] {
    return this.#wanted.size === 0 ? [] : sites.filter((site) => this.#wanted.has(hookName(at(site))))
  }

  #portsAt<Site extends string>(
    sites: readonly Site[],
    at: (site: Site) => HookPoint,
  ): Map<Site, readonly PortValue[]> {
    const found = new Map<Site, readonly PortValue[]>()
    const { ports } = this.request
    if (ports === undefined || ports.size === 0) return found
    for (const site of sites) {
      const values = ports.get(hookName(at(site)))
      if (values !== undefined && values.length > 0) found.set(site, values)
    }
    return found
  }

  #shapeOf(point: HookPoint): number[] {
    const { batch, queries, past } = this.layout
    const run: Partial<Record<Dim, number>> = { batch, pos: queries, q_pos: queries, k_pos: past + queries }
    const sizes = hookSizes(this.spec, point)
    return hookDims(point).map((dim, axis) => run[dim] ?? sizes[axis] ?? 1)
  }

  /** Each row's last real column of x [batch, pos, width] → [batch, 1, width]. */
  #lastOf(x: Tensor): Tensor {
    const [batch, columns, width] = x.shape
    const data = new Float32Array(batch * width)
    this.layout.own.forEach((length, row) => {
      const start = (row * columns + length - 1) * width
      data.set(x.data.subarray(start, start + width), row * width)
    })
    return { shape: [batch, 1, width], data }
  }

  #cache(): KeyValueCache {
    const { batch, past, queries, own, lengths } = this.layout
    const before = lengths.map((length, row) => length - own[row])
    const added = columnPositions(own, queries, before)
    const keyPositions = joinColumns(batch, past, this.request.cache?.keyPositions, queries, added)
    const layers = this.spec.blocks.map((_, layer) => this.#layers[layer] ?? null)
    return new KeyValueCache(batch, past + queries, keyPositions, layers)
  }

  #checkRange(first: number, stop: number): void {
    const blocks = this.spec.blocks.length
    if (first > stop || stop > blocks)
      throw new PatchbayError(
        'input.invalid',
        `A run from block ${first} to block ${stop} is not possible: there are ${blocks}.`,
        {
          next: 'Start at or before the block where the run stops.',
          field: 'start.layer',
        },
      )
    const inside = ({ layer, site }: HookPoint): boolean => {
      if (layer !== null) return layer >= first && layer < stop
      return site.startsWith('ln_final') ? stop === blocks : this.request.start.kind === 'tokens'
    }
    for (const point of this.request.captures ?? [])
      if (!inside(point)) throw outside(hookName(point), first, stop)
    for (const name of this.request.ports?.keys() ?? []) {
      const point = parseHook(name)
      if (point !== null && !inside(point)) throw outside(name, first, stop)
    }
  }
}

const outer = (site: OuterSite): HookPoint => ({ layer: null, site })

const outside = (name: string, first: number, stop: number): PatchbayError =>
  new PatchbayError(
    'hook.unavailable',
    `${name} is not computed by a run from block ${first} to before block ${stop}.`,
    {
      next: 'Start earlier, stop later, or leave it out.',
      field: name,
    },
  )

/** Hook points that lie inside a block's graph; the two at its ends do not. */
const graphSites = (Object.keys(blockSites) as BlockSite[]).filter(
  (site) => site !== 'hook_resid_pre' && site !== 'hook_resid_post',
)

const emptyLayer = (batch: number, heads: number, width: number): LayerCache => {
  const none = floats(new Float32Array(0), [batch, heads, 0, width])
  return { key: none, value: none }
}
