/**
 * How an exported graph is run: cut at the residual stream into parts where that is possible, else whole, and where in
 * these parts each hook point and each raw value is changed and given out.
 */
import { PatchbayError } from '../../../preload/errors'
import {
  hookDims,
  hookName,
  isResidual,
  parseHook,
  type Dim as HookDim,
  type HookPoint,
} from '../../../preload/hooks'
import type { Decoder, Recognition } from '../../models/exported/recognise'
import type { Dim } from '../../onnx/graph'
import { cutGraph, crossingsOf, type Part } from '../../onnx/exported/cut'
import type { Site } from '../../onnx/exported/surgery'
import { asItIs } from '../../onnx/exported/view'
import type { Hook } from '../runnable'

/** Stands before the name of a value of the graph where it is used as a hook point. */
export const RAW = 'value:'

/** Where a hook point is. */
export type HookPlace =
  /** On the residual stream between two parts: no graph is needed there. */
  | { readonly kind: 'between'; readonly cut: number }
  | {
      readonly kind: 'inside'
      readonly part: number
      readonly captured: Site
      /** Null where the value can be read only. */
      readonly changed: Site | null
    }

export interface PlacedHook extends Hook {
  readonly place: HookPlace
}

export interface ExportedPlan {
  readonly recognition: Recognition
  readonly decoder: Decoder | null
  /** One, or embedding, blocks and unembedding. */
  readonly parts: readonly Part[]
  /** Why the graph is run whole; null where it was cut. */
  readonly whole: string | null
  /** Blocks that a run may start at, given a residual stream: all that later parts need comes from the first part. */
  startsAt(layer: number): boolean
  /** @throws PatchbayError `hook.unknown`, `hook.unavailable` */
  hook(name: string): PlacedHook
  /** Names of the recognised hook points. */
  readonly names: readonly string[]
}

export function planExported(recognition: Recognition): ExportedPlan {
  const { decoder, view } = recognition
  const { graph } = view.model
  const whole = reasonForWhole(recognition)
  const cuts = whole === null && decoder !== null ? decoder.stream : []
  const parts = cutGraph(graph, view.values, cuts)
  const crossings = crossingsOf(parts)
  const tokenwise = parts
    .slice(1)
    .some(({ carried }) =>
      [...carried].some(([value, made]) => made === 0 && view.dependsOn(value, recognition.roles.tokens)),
    )
  const home = new Map<string, number>()
  parts.forEach((part, index) => {
    for (const node of part.graph.nodes)
      for (const name of node.outputs) if (name !== '' && !home.has(name)) home.set(name, index)
  })
  const places = new HookPlaces(recognition, home, cuts)
  return {
    recognition,
    decoder,
    parts,
    whole,
    startsAt: (layer) =>
      layer === 0 || (!tokenwise && !crossings.some(({ made, read }) => made <= layer && read > layer)),
    hook: (name) => places.find(name),
    names: [...(decoder?.sites.keys() ?? [])],
  }
}

/** Why a graph can not be cut at its residual stream, or null. */
function reasonForWhole({ decoder, view }: Recognition): string | null {
  if (decoder === null) return 'its residual stream was not found'
  const types = decoder.stream.map((value) => view.type(value))
  if (types.some((type) => type !== 'float32')) return 'its residual stream is not in float32'
  const parts = cutGraph(view.model.graph, view.values, decoder.stream)
  const untyped = parts
    .flatMap(({ carried }) => [...carried.keys()])
    .find((value) => view.type(value) === null)
  return untyped === undefined ? null : `the type of ${untyped}, which its blocks share, is not known`
}

class HookPlaces {
  readonly #known = new Map<string, PlacedHook>()

  constructor(
    private readonly recognition: Recognition,
    private readonly home: ReadonlyMap<string, number>,
    private readonly cuts: readonly string[],
  ) {}

  find(asked: string): PlacedHook {
    const point = parseHook(asked)
    const name = point === null ? asked : hookName(point)
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const found = name.startsWith(RAW) ? this.#raw(name) : this.#recognised(name, point)
    this.#known.set(name, found)
    return found
  }

  #recognised(name: string, point: HookPoint | null): PlacedHook {
    const { decoder, view, missing } = this.recognition
    const site = decoder?.sites.get(name)
    if (point === null || site === undefined) {
      const reason = missing.find(({ what }) => what === name)?.reason
      throw new PatchbayError(
        point === null ? 'hook.unknown' : 'hook.unavailable',
        point === null
          ? `There is no hook point ${JSON.stringify(name.slice(0, 200))}.`
          : `${name} was not recognised in this graph${reason === undefined ? '' : `: ${reason}`}.`,
        {
          next: `Any value of the graph can be used by its own name, as ${RAW}NAME.`,
          field: name.slice(0, 200),
        },
      )
    }
    const dims = hookDims(point)
    const sizes = this.#sizes(dims)
    const hook: Hook = { name, dims, sizes, residual: isResidual(point), shared: false }
    const cut = this.cuts.indexOf(site.value)
    const isEnd = point.site === 'hook_resid_pre' || point.site === 'hook_resid_post'
    if (cut !== -1 && isEnd) return { ...hook, place: { kind: 'between', cut } }
    const seen = (value: string): Site => ({
      value,
      type: view.type(value) ?? 'float32',
      view: site.view,
      rank: dims.length,
    })
    return { ...hook, place: this.#inside(seen(site.value), seen(site.changedAt ?? site.value)) }
  }

  /** Any value that a node makes, by its own name. */
  #raw(name: string): PlacedHook {
    const { view, axes } = this.recognition
    const value = name.slice(RAW.length)
    if (!this.home.has(value))
      throw new PatchbayError(
        'hook.unknown',
        `The graph computes no value ${JSON.stringify(value.slice(0, 200))}.`,
        {
          next: 'Choose a name that the model’s report lists; inputs and weights are none of them.',
          field: name.slice(0, 200),
        },
      )
    const shape = view.shape(value)
    const type = view.type(value)
    const shared = shape === null || shape[0] !== axes.batch
    const dims = shared ? ['batch', ...(shape ?? []).map(() => 'axis')] : namedAxes(shape, axes)
    const sizes = [null, ...(shared ? (shape ?? []) : shape.slice(1)).map((dim) => numeric(dim))]
    const site = { value, type: type ?? 'bool', view: asItIs, rank: dims.length } as const
    const changed = shape === null || type === null ? null : { ...site, view: { ...asItIs, lift: shared } }
    return { name, dims, sizes, residual: false, shared, place: this.#inside(site, changed) }
  }

  #inside(captured: Site, changed: Site | null): HookPlace {
    return { kind: 'inside', part: this.home.get(captured.value) ?? 0, captured, changed }
  }

  #sizes(dims: readonly HookDim[]): (number | null)[] {
    const { decoder, vocab } = this.recognition
    const sizes: Partial<Record<HookDim, number | null>> = {
      one: 1,
      d_model: decoder?.dModel,
      head: decoder?.heads,
      kv_head: decoder?.kvHeads,
      d_head: decoder?.dHead,
      d_mlp: decoder?.dMlp,
      d_vocab: vocab,
    }
    return dims.map((dim) => sizes[dim] ?? null)
  }
}

const numeric = (dim: Dim): number | null => (typeof dim === 'number' ? dim : null)

/** Names of the axes of a raw value: batch, positions (of queries, then of keys, where there are two), and others. */
function namedAxes(shape: readonly Dim[], { batch, pos }: Recognition['axes']): string[] {
  const twice = shape.filter((dim) => dim === pos).length > 1
  let seen = 0
  return shape.map((dim, axis) => {
    if (axis === 0 && dim === batch) return 'batch'
    if (dim !== pos) return 'axis'
    seen++
    if (!twice) return 'pos'
    return seen === 1 ? 'q_pos' : 'k_pos'
  })
}
