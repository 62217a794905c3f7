/** One run through the block stack: embeds, runs block after block, captures and changes what lies between them, unembeds. */
import { PatchbayError } from '../../preload/errors'
import { hookName, type BlockSite, type HookPoint, type OuterSite } from '../../preload/hooks'
import type { Tensor } from '../../preload/tensor'
import type { TransformerSpec } from '../models/spec'
import { throwIfCancelled } from './cancelled'
import { Captures } from './captures'
import type { CompiledGraphs } from './compiled'
import { derive, planCaptures } from './derive'
import { embeddingFeeds } from './embedding-feeds'
import { giveBack } from './give-back'
import { sharedNames } from './graph/segment'
import { graphSites } from './graph/variant'
import type { PortsByHook } from './interventions'
import { KeyValueCache, type LayerCache } from './kv'
import { SharedInputs, type Layout } from './layout'
import { applyPorts, kindsOf, portsAt, withPorts, type PortValue } from './ports'
import { checkRange } from './range'
import { floatData, floats, type Feeds } from './session'
import { runLeased } from './session-pool'
import { withTableRows } from './table-rows'

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
  /** Whether runs of the same blocks follow: under a memory budget, what takes time to prepare is then worth it. */
  readonly again?: boolean
  /** Canonical hook names. */
  readonly captures?: readonly string[]
  /** What the ports are fed, laid out for `layoutOf` this request. */
  readonly ports?: PortsByHook
  readonly logits?: 'none' | 'last' | 'all'
  /**
   * Takes each capture as soon as it is there, instead of all of them at the end: many captures then need no more memory
   * than few. Says whether the array is still needed; where it is not, the run may take its memory back.
   */
  readonly onCapture?: (name: string, tensor: Tensor) => Promise<{ kept: boolean }>
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
  readonly #captures: Captures
  readonly #layers: (LayerCache | null)[] = []
  /** Memory of captures that somebody took and still needs. */
  readonly #taken = new Set<ArrayBufferLike>()

  constructor(
    private readonly spec: TransformerSpec,
    private readonly graphs: CompiledGraphs,
    private readonly layout: Layout,
    private readonly request: ForwardRequest,
    shared?: SharedInputs,
  ) {
    this.#shared = shared ?? new SharedInputs(layout)
    this.#captures = new Captures(spec, layout, request.captures)
  }

  async run(): Promise<ForwardResult> {
    const { start, keepCache = false, signal, onProgress } = this.request
    const first = start.kind === 'tokens' ? 0 : start.layer
    const stop = this.request.stopLayer ?? this.spec.blocks.length
    checkRange({ first, stop, blocks: this.spec.blocks.length, embeds: start.kind === 'tokens' }, [
      ...this.#captures.wanted,
      ...(this.request.ports?.keys() ?? []),
    ])
    throwIfCancelled(signal)
    let x = start.kind === 'tokens' ? await this.#embed(start.rows) : start.residual
    for (let layer = first; layer < stop;) {
      throwIfCancelled(signal)
      const count = this.#together(layer, stop)
      x = this.#between(x, { layer, site: 'hook_resid_pre' })
      const before = x
      x =
        count === 1 ? await this.#block(layer, x, keepCache) : await this.#segment(layer, count, x, keepCache)
      await this.#handOver(x)
      if (!this.#isKept(before)) giveBack([before.data])
      layer += count
      x = this.#between(x, { layer: layer - 1, site: 'hook_resid_post' })
      onProgress?.(layer - first, stop - first)
    }
    throwIfCancelled(signal)
    const logits = stop === this.spec.blocks.length ? await this.#unembed(x) : null
    await this.#handOver(x)
    return { captures: this.#captures.kept, logits, residual: x, cache: keepCache ? this.#cache() : null }
  }

  /** Whether somebody may still read a residual stream that the next block has read. */
  #isKept({ data }: Tensor): boolean {
    const { start, captures = [], onCapture } = this.request
    const captured = onCapture === undefined ? captures.length > 0 : this.#taken.has(data.buffer)
    return captured || (start.kind === 'residual' && start.residual.data.buffer === data.buffer)
  }

  /** Hands over what was captured to whom takes it at once. @param x the residual stream, which the run still reads */
  async #handOver(x: Tensor): Promise<void> {
    const { onCapture } = this.request
    if (onCapture === undefined) return
    const done: Tensor[] = []
    for (const [name, tensor] of this.#captures.kept) {
      const { kept } = await onCapture(name, tensor)
      if (kept) this.#taken.add(tensor.data.buffer)
      done.push(tensor)
    }
    this.#captures.kept.clear()
    // Two hook points may share their array, and with the run's own input.
    const own = done.filter((tensor) => tensor.data.buffer !== x.data.buffer && !this.#isKept(tensor))
    giveBack(own.map(({ data }) => data))
  }

  /** Hook points between blocks: changed and captured here, without any graph. */
  #between(x: Tensor, point: HookPoint): Tensor {
    const name = hookName(point)
    const changed = applyPorts(x, this.request.ports?.get(name) ?? [])
    if (this.#captures.wants(point)) this.#captures.kept.set(name, changed)
    return changed
  }

  async #embed(rows: readonly (readonly number[])[]): Promise<Tensor> {
    const { batch, queries } = this.layout
    const shape = [batch, queries]
    const sites: OuterSite[] = ['hook_embed', 'hook_pos_embed']
    const ports = this.#portsAt(sites, outer)
    const feeds = await withTableRows(embeddingFeeds(this.spec, this.layout, rows), this.graphs.tokenRows)
    const lease = await this.graphs.embedding({ captures: new Set(), ports: kindsOf(ports) })
    const out = await runLeased(lease, withPorts(feeds, ports), [
      'resid',
      ...this.#captures.wantedOf(sites, outer),
    ])
    for (const site of this.#captures.wantedOf(sites, outer)) this.#captures.keep(outer(site), out[site])
    return { shape: [...shape, this.spec.dModel], data: floatData(out.resid) }
  }

  /** How many blocks from `layer` on run as one graph: those that nothing in this run changes from inside. */
  #together(layer: number, stop: number): number {
    const count = this.graphs.segmentAt(layer)
    if (count === 1 || layer + count > stop) return 1
    for (let l = layer; l < layer + count; l++) {
      const at = (site: BlockSite): HookPoint => ({ layer: l, site })
      const edges: BlockSite[] = [
        ...(l > layer ? (['hook_resid_pre'] as const) : []),
        ...(l < layer + count - 1 ? (['hook_resid_post'] as const) : []),
      ]
      if (this.#portsAt([...graphSites, ...edges], at).size > 0) return 1
      if (planCaptures(this.spec, l, this.#captures.wantedOf(graphSites, at), false).inGraph.size > 0)
        return 1
    }
    return count
  }

  async #segment(first: number, count: number, x: Tensor, keepCache: boolean): Promise<Tensor> {
    const resid = floats(x.data, [x.data.length / this.spec.dModel, this.spec.dModel])
    const feeds: Feeds = { resid }
    const outputs = new Set(['resid_out'])
    const blocks = Array.from({ length: count }, (_, i) => {
      const layer = first + i
      const at = (site: BlockSite): HookPoint => ({ layer, site })
      const plan = planCaptures(this.spec, layer, this.#captures.wantedOf(graphSites, at), false)
      const { rope, bias } = sharedNames(this.spec, first, layer)
      const past = this.#past(layer)
      feeds[`past_key_${layer}`] = past.key
      feeds[`past_value_${layer}`] = past.value
      feeds[bias] ??= this.#shared.bias(this.spec.blocks[layer].attention)
      if (rope !== null) {
        const { cos, sin } = this.#shared.angles(this.spec.ropes[rope])
        feeds[`cos_${rope}`] = cos
        feeds[`sin_${rope}`] = sin
      }
      const between =
        i > 0 && (plan.derived.size > 0 || this.#wantsBetween(layer)) ? [residBehind(layer - 1)] : []
      const cached = keepCache ? ['present_key', 'present_value'] : []
      const names = [...cached, ...plan.direct, ...plan.sources].map((name) => nameIn(layer, name))
      for (const output of [...between, ...names]) outputs.add(output)
      return { layer, at, plan, bias: feeds[bias] }
    })
    const out = await runLeased(await this.graphs.segment(first, count), feeds, [...outputs])
    for (const { layer, at, plan, bias } of blocks) {
      const input = layer === first ? resid : out[residBehind(layer - 1)]
      if (layer > first && this.#wantsBetween(layer))
        for (const point of [{ layer: layer - 1, site: 'hook_resid_post' }, at('hook_resid_pre')] as const)
          this.#captures.keep(point, input)
      for (const site of plan.direct) this.#captures.keep(at(site), out[nameIn(layer, site)])
      const sources = Object.fromEntries(plan.sources.map((name) => [name, out[nameIn(layer, name)]]))
      const derived = await derive(this.graphs, layer, plan, { ...sources, resid: input }, bias)
      for (const [site, tensor] of derived) this.#captures.keep(at(site), tensor)
      if (keepCache)
        this.#layers[layer] = {
          key: out[nameIn(layer, 'present_key')],
          value: out[nameIn(layer, 'present_value')],
        }
    }
    return { shape: x.shape, data: floatData(out.resid_out) }
  }

  /** Whether the residual stream at the input of `layer`, or at the output of the block before, is captured. */
  #wantsBetween(layer: number): boolean {
    return (
      this.#captures.wants({ layer, site: 'hook_resid_pre' }) ||
      this.#captures.wants({ layer: layer - 1, site: 'hook_resid_post' })
    )
  }

  /** Keys and values of earlier positions in block `layer`. */
  #past(layer: number): LayerCache {
    const { kvHeads, headDim } = this.spec.blocks[layer].attention
    const past = this.request.cache?.layers[layer] ?? emptyLayer(this.layout.batch, kvHeads, headDim)
    if (this.layout.past > 0 && past.key.dims[2] !== this.layout.past)
      throw new PatchbayError('internal', `The cache has no keys and values of block ${layer}.`)
    return past
  }

  async #block(layer: number, x: Tensor, keepCache: boolean): Promise<Tensor> {
    const { attention } = this.spec.blocks[layer]
    const { batch, queries } = this.layout
    const at = (site: BlockSite): HookPoint => ({ layer, site })
    const ports = this.#portsAt(graphSites, at)
    const plan = planCaptures(this.spec, layer, this.#captures.wantedOf(graphSites, at), ports.size > 0)
    const past = this.#past(layer)
    const resid = floats(x.data, [batch * queries, this.spec.dModel])
    const bias = this.#shared.bias(attention)
    const feeds: Feeds = {
      resid,
      bias,
      past_key: past.key,
      past_value: past.value,
      ...(attention.rope === null ? {} : this.#shared.angles(this.spec.ropes[attention.rope])),
    }
    const lease = await this.graphs.block(
      layer,
      { captures: plan.inGraph, ports: kindsOf(ports) },
      this.request.again,
    )
    this.graphs.prefetch(layer + 1)
    const cached = keepCache ? ['present_key', 'present_value'] : []
    const outputs = new Set(['resid_out', ...cached, ...plan.direct, ...plan.inGraph, ...plan.sources])
    const out = await runLeased(lease, withPorts(feeds, ports), [...outputs])
    for (const site of [...plan.direct, ...plan.inGraph]) this.#captures.keep(at(site), out[site])
    if (plan.derived.size > 0) {
      const derived = await derive(this.graphs, layer, plan, { ...out, resid }, bias)
      for (const [site, tensor] of derived) this.#captures.keep(at(site), tensor)
    }
    if (keepCache) this.#layers[layer] = { key: out.present_key, value: out.present_value }
    return { shape: x.shape, data: floatData(out.resid_out) }
  }

  async #unembed(x: Tensor): Promise<Tensor | null> {
    const { logits = 'none' } = this.request
    const sites: OuterSite[] = ['ln_final.hook_scale', 'ln_final.hook_normalized']
    const ports = this.#portsAt(sites, outer)
    const wanted = this.#captures.wantedOf(sites, outer)
    const { norm } = this.spec.unembedding
    const changed = ports.size > 0
    if (!changed && wanted.length > 0 && norm !== null) {
      const lease = await this.graphs.norm(norm, this.spec.dModel)
      const parts = wanted.map((site) => (site === 'ln_final.hook_scale' ? 'scale' : 'normalized'))
      const flat = floats(x.data, [x.data.length / this.spec.dModel, this.spec.dModel])
      const out = await runLeased(lease, { x: flat }, parts)
      wanted.forEach((site, i) => this.#captures.keep(outer(site), out[parts[i]]))
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
    for (const site of captures) this.#captures.keep(outer(site), out[site])
    if (logits === 'none') return null
    const all: Tensor = {
      shape: [rows.shape[0], rows.shape[1], this.spec.vocab],
      data: floatData(out.logits),
    }
    return logits === 'last' && changed ? this.#lastOf(all) : all
  }

  #portsAt<Site extends string>(
    sites: readonly Site[],
    at: (site: Site) => HookPoint,
  ): Map<Site, readonly PortValue[]> {
    return portsAt(this.request.ports, sites, at)
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
    const layers = this.spec.blocks.map((_, layer) => this.#layers[layer] ?? null)
    return KeyValueCache.after(this.layout, this.request.cache, layers)
  }
}

const outer = (site: OuterSite): HookPoint => ({ layer: null, site })

const residBehind = (layer: number): string => `blocks.${layer}.hook_resid_post`

/** Name of a block's output in a segment's graph. */
const nameIn = (layer: number, output: string): string =>
  output.startsWith('present_') ? `${output}_${layer}` : `blocks.${layer}.${output}`

const emptyLayer = (batch: number, heads: number, width: number): LayerCache => {
  const none = floats(new Float32Array(0), [batch, heads, 0, width])
  return { key: none, value: none }
}
