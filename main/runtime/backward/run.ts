/**
 * A forward pass that keeps the residual stream at the input of every block, and the way back: each block's vector-Jacobian
 * product recomputes that block's forward inside, so what is kept is one residual stream a layer.
 */
import { PatchbayError } from '../../../preload/errors'
import { hookName, type BlockSite, type HookPoint, type OuterSite } from '../../../preload/hooks'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { hookSizes } from '../../models/hook-points'
import type { TransformerSpec } from '../../models/spec'
import { throwIfCancelled } from '../cancelled'
import { Captures } from '../captures'
import type { CompiledGraphs } from '../compiled'
import { embeddingFeeds } from '../embedding-feeds'
import { ForwardRun, type ForwardRequest, type ForwardResult } from '../forward'
import { giveBack } from '../give-back'
import { extraGradients, keptSites } from '../graph/backward'
import { cotangentAt, gradientAt, gradientOf } from '../graph/gradient'
import { valueAt } from '../graph/taps'
import { graphSites } from '../graph/variant'
import { SharedInputs, type Layout } from '../layout'
import { kindsOf, portsAt, withPorts } from '../ports'
import { floatData, floats, type Feeds } from '../session'
import { runLeased } from '../session-pool'
import { headBackward } from './head'
import type { BackwardPlan } from './plan'
import { projectionCotangent, projectionValues } from './projection'
import { summed, throughPorts } from './stream'

export interface BackwardResult extends Omit<ForwardResult, 'cache'> {
  /** [batch] */
  readonly metric: Tensor
  /** Canonical hook name → gradient, in the activation's shape; 0 in padded places. Do not write into them. */
  readonly gradients: ReadonlyMap<string, Tensor>
  /** Parameter name → gradient of the metrics' sum. */
  readonly weightGradients: ReadonlyMap<string, Tensor>
}

export class BackwardRun {
  readonly #shared: SharedInputs
  readonly #gradients: Captures
  /** Whether the forward pass keeps what products with matrices gave. */
  readonly #keeps: boolean
  /** What a metric that reads a hook point begins with. */
  #read: { readonly name: string; readonly cotangent: Tensor } | null = null

  constructor(
    private readonly spec: TransformerSpec,
    private readonly graphs: CompiledGraphs,
    private readonly layout: Layout,
    private readonly request: ForwardRequest,
    private readonly plan: BackwardPlan,
  ) {
    this.#shared = new SharedInputs(layout)
    this.#gradients = new Captures(spec, layout, plan.hooks.keys())
    this.#keeps = 4 * layout.batch * layout.queries * this.#keptWidth() <= KEPT_BYTES
  }

  async run(): Promise<BackwardResult> {
    const { signal, onProgress } = this.request
    const { top, lowest, weights } = this.plan
    const blocks = this.spec.blocks.length
    const back = this.#layers().length
    let before = 0
    const { kept, ...forward } = await this.#forward((done, total) => {
      before = total
      onProgress?.(done, total + back)
    })
    throwIfCancelled(signal)
    let values = this.#projected(kept)
    let gradient: Tensor | null = null
    if (top === blocks) {
      const head = await this.#head(forward.residual)
      values ??= head.metric
      gradient = head.resid
    }
    let done = 0
    for (let layer = blocks - 1; layer >= 0; layer--) {
      throwIfCancelled(signal)
      gradient = this.#between(gradient, { layer, site: 'hook_resid_post' })
      if (layer < lowest) break
      if (layer <= top) {
        gradient = await this.#block(layer, gradient, kept)
        this.#drop(layer, kept)
        onProgress?.(before + ++done, before + back)
      }
      gradient = this.#between(gradient, { layer, site: 'hook_resid_pre' })
    }
    if (lowest === 0) await this.#embedding(gradient)
    return {
      ...forward,
      metric: { shape: [this.layout.batch], data: values ?? new Float32Array(this.layout.batch) },
      gradients: this.#complete(),
      weightGradients: weights.results(),
    }
  }

  /** The blocks that are gone through again. */
  #layers(): number[] {
    const { top, lowest } = this.plan
    return this.spec.blocks.map((_, layer) => layer).filter((layer) => layer >= lowest && layer <= top)
  }

  /** What the forward pass may keep for the way back, by canonical name. */
  #keptHooks(layer: number): string[] {
    return keptSites(this.spec, layer).map((site) => hookName({ layer, site }))
  }

  /** Numbers of that a position, in all blocks. */
  #keptWidth(): number {
    const widthOf = (layer: number, site: BlockSite): number =>
      hookSizes(this.spec, { layer, site }).reduce<number>((width, size) => width * (size ?? 1), 1)
    return this.#layers().reduce(
      (sum, layer) => keptSites(this.spec, layer).reduce((width, site) => width + widthOf(layer, site), sum),
      0,
    )
  }

  /** The forward pass, with what the way back needs of it in `kept`. */
  async #forward(onProgress: (done: number, total: number) => void) {
    const { captures = [] } = this.request
    const { metric } = this.plan
    const read = metric.kind === 'projection' ? [metric.hook.name] : []
    const back = this.#layers().flatMap((layer) => [
      inputOf(layer),
      ...(this.#keeps ? this.#keptHooks(layer) : []),
    ])
    const all = [...new Set([...captures, ...read, ...back])]
    const request = { ...this.request, captures: all, keepCache: false, onProgress }
    const {
      captures: found,
      logits,
      residual,
    } = await new ForwardRun(this.spec, this.graphs, this.layout, request, this.#shared).run()
    const wanted = new Set(captures)
    return {
      logits,
      residual,
      captures: new Map([...found].filter(([name]) => wanted.has(name))),
      kept: new Map(found),
    }
  }

  /** What was kept of a block is not needed once it was gone through. */
  #drop(layer: number, kept: Map<string, Tensor>): void {
    const { captures = [] } = this.request
    const own = this.#keptHooks(layer).filter((name) => !captures.includes(name))
    giveBack(own.flatMap((name) => kept.get(name)?.data ?? []))
    for (const name of [...own, inputOf(layer)]) kept.delete(name)
  }

  /** The value of a metric that reads a hook point; null for one of the logits. */
  #projected(kept: ReadonlyMap<string, Tensor>): Float32Array | null {
    const { metric } = this.plan
    if (metric.kind !== 'projection') return null
    const { name } = metric.hook
    const cotangent = projectionCotangent(metric, this.layout)
    this.#read = { name, cotangent }
    return projectionValues(required(kept, name), cotangent)
  }

  async #head(resid: Tensor): Promise<{ metric: Float32Array; resid: Tensor }> {
    const { metric, weights } = this.plan
    const sites: OuterSite[] = ['ln_final.hook_scale', 'ln_final.hook_normalized']
    const read = sites.find((site) => site === this.#read?.name)
    const { batch, queries, own } = this.layout
    const real = Array.from({ length: batch * queries }, (_, i) => ({
      row: Math.floor(i / queries),
      position: i % queries,
    })).filter(({ row, position }) => position < own[row])
    const everywhere = real.map((place) => ({ ...place, tokens: [], coefficients: [], target: null }))
    const head = await headBackward(this.spec, this.graphs, {
      kind: metric.kind === 'projection' ? 'none' : metric.kind,
      places: metric.kind === 'projection' ? everywhere : metric.places,
      resid,
      layout: this.layout,
      ports: portsAt(this.request.ports, sites, outer),
      sites: this.#gradients.wantedOf(sites, outer),
      cotangent:
        read === undefined || this.#read === null ? null : { site: read, tensor: this.#read.cotangent },
      weights,
      signal: this.request.signal,
    })
    for (const [site, tensor] of head.sites) this.#gradients.kept.set(site, tensor)
    return head
  }

  /** Through a hook point on the residual stream between blocks: its gradient is kept, what is changed there undone. */
  #between(gradient: Tensor | null, point: HookPoint): Tensor | null {
    const name = hookName(point)
    const own = this.#read?.name === name ? this.#read.cotangent : null
    const whole = summed(gradient, own)
    if (whole === null) return null
    if (this.#gradients.wants(point)) this.#gradients.kept.set(name, whole)
    return throughPorts(whole, this.request.ports?.get(name) ?? [])
  }

  /** From the gradient at a block's output to that at its input. */
  async #block(
    layer: number,
    gradient: Tensor | null,
    kept: ReadonlyMap<string, Tensor>,
  ): Promise<Tensor | null> {
    const at = (site: BlockSite): HookPoint => ({ layer, site })
    const read = graphSites.find((site) => hookName(at(site)) === this.#read?.name)
    if (gradient === null && read === undefined) return null
    const { attention } = this.spec.blocks[layer]
    const { batch, queries } = this.layout
    const ports = portsAt(this.request.ports, graphSites, at)
    const sites = this.#gradients.wantedOf(graphSites, at)
    const weights = this.plan.weights.of(this.spec.blocks[layer])
    const resid = required(kept, inputOf(layer))
    const feeds: Feeds = {
      resid: floats(resid.data, resid.shape),
      bias: this.#shared.bias(attention),
      ...(attention.rope === null ? {} : this.#shared.angles(this.spec.ropes[attention.rope])),
    }
    if (gradient !== null) feeds.cotangent = floats(gradient.data, [batch * queries, this.spec.dModel])
    if (read !== undefined && this.#read !== null)
      feeds[cotangentAt(read)] = floats(this.#read.cotangent.data, this.#read.cotangent.shape)
    if (this.#keeps)
      for (const site of keptSites(this.spec, layer)) {
        const { data, shape } = required(kept, hookName(at(site)))
        feeds[valueAt(site)] = floats(data, shape)
      }
    const lease = await this.graphs.backward.block(layer, {
      ports: kindsOf(ports),
      gradients: extraGradients(sites),
      cotangents: new Set(read === undefined ? [] : [read]),
      weights,
      output: gradient !== null,
      given: this.#keeps,
    })
    const outputs = [gradientAt('resid'), ...sites.map(gradientAt), ...[...weights].map(gradientOf)]
    const out = await runLeased(lease, withPorts(feeds, ports), outputs)
    for (const site of sites) this.#gradients.keep(at(site), out[gradientAt(site)])
    for (const name of weights) this.plan.weights.add(name, floatData(out[gradientOf(name)]))
    return { shape: resid.shape, data: floatData(out[gradientAt('resid')]) }
  }

  /** The hook points of the embedding, and its weights, from the gradient at the first block's unchanged input. */
  async #embedding(gradient: Tensor | null): Promise<void> {
    const { start } = this.request
    if (start.kind !== 'tokens') return
    const sites: OuterSite[] = ['hook_embed', 'hook_pos_embed']
    const gradients = new Map(
      sites.map((site) => [site, summed(gradient, this.#read?.name === site ? this.#read.cotangent : null)]),
    )
    for (const [site, tensor] of gradients)
      if (tensor !== null && this.#gradients.wants(outer(site))) this.#gradients.kept.set(site, tensor)
    const { weights } = this.plan
    const wanted = weights.of(this.spec.embedding)
    if (wanted.size === 0) return
    const read = sites.find((site) => site === this.#read?.name)
    const ports = portsAt(this.request.ports, sites, outer)
    const shape = [this.layout.batch, this.layout.queries, this.spec.dModel]
    const feeds = embeddingFeeds(this.spec, this.layout, start.rows)
    feeds.cotangent = floats(gradient?.data ?? new Float32Array(sizeOf(shape)), shape)
    if (read !== undefined && this.#read !== null)
      feeds[cotangentAt(read)] = floats(this.#read.cotangent.data, shape)
    const lease = await this.graphs.backward.embedding({
      ports: kindsOf(ports),
      gradients: new Set(),
      cotangents: new Set(read === undefined ? [] : [read]),
      weights: wanted,
    })
    const names = [...wanted]
    const out = await runLeased(lease, withPorts(feeds, ports), names.map(gradientOf))
    for (const name of names) weights.add(name, floatData(out[gradientOf(name)]))
  }

  /** All gradients that are wanted; zeros at hook points that the metric does not depend on. */
  #complete(): ReadonlyMap<string, Tensor> {
    for (const point of this.plan.hooks.values()) this.#gradients.keepZeros(point)
    return this.#gradients.kept
  }
}

/** What a run may keep of its activations, in bytes, so that the way back need not compute them again. */
const KEPT_BYTES = 96 * 2 ** 20

const outer = (site: OuterSite): HookPoint => ({ layer: null, site })

const inputOf = (layer: number): string => `blocks.${layer}.hook_resid_pre`

function required(kept: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const tensor = kept.get(name)
  if (tensor === undefined) throw new PatchbayError('internal', `The forward pass did not keep ${name}.`)
  return tensor
}
