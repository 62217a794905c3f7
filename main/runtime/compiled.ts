/**
 * The compiled graphs of a model. Plain graphs stay; variants are compiled when a run asks for them and the least recently
 * used ones are released when they exceed their share of memory.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../preload/errors'
import type { BlockSite, OuterSite } from '../../preload/hooks'
import type { Provider } from '../../preload/run'
import { sizeOf } from '../../preload/tensor'
import { weightsOf, type BlockSpec, type NormSpec, type TransformerSpec } from '../models/spec'
import type { Graph } from '../onnx/graph'
import { blockGraph } from './graph/block'
import type { Lowering } from './graph/context'
import { normGraph, resultGraph, scoresGraph } from './graph/derived'
import { embeddingGraph, unembeddingGraph } from './graph/ends'
import { variantKey, type Variant } from './graph/variant'
import type { PlacedWeights } from './placement'
import { Session, type Feeds } from './session'

export interface CompileOptions {
  readonly spec: TransformerSpec
  readonly weights: PlacedWeights
  readonly provider: Provider
  readonly lowering: Lowering
  /** Bytes that variant sessions may take; unless given, enough for one variant of every block. */
  readonly variantBytes?: number
}

interface Entry {
  readonly session: Promise<Session>
  readonly bytes: number
  /** Runs that use it now: it must not be released under them. */
  users: number
}

/** Measured: a session without its weights. */
const SESSION_BYTES = 2 ** 20

/** Of the graphs that hook points are derived with: they can be dropped like variants. */
const derivedVariant: Variant<string> = { captures: new Set(['derived']), ports: new Map() }

/** Bytes that a session over the block's weights maps: they are shared with other sessions, but counted as resident. */
const blockBytes = (block: BlockSpec): number =>
  weightsOf(block).reduce((sum, weight) => sum + 4 * sizeOf(weight.shape), 0)

export class CompiledGraphs {
  /** In order of use, least recent first. */
  readonly #entries = new Map<string, Entry>()
  readonly #options: CompileOptions
  readonly #enoughForOneRun: number
  /** Of variants. */
  #bytes = 0
  #released = false

  constructor(options: CompileOptions) {
    this.#options = options
    this.#enoughForOneRun = options.spec.blocks.reduce(
      (sum, block) => sum + 2 * SESSION_BYTES + blockBytes(block),
      0,
    )
  }

  /** Sessions that are compiled now. */
  get count(): number {
    return this.#entries.size
  }

  embedding(variant: Variant<OuterSite>): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    return this.#lease('embedding', variant, 0, () => embeddingGraph(spec, variant, weights.add, lowering))
  }

  block(layer: number, variant: Variant<BlockSite>): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    return this.#lease(`block ${layer}`, variant, blockBytes(spec.blocks[layer]), () =>
      blockGraph(spec, layer, variant, weights.add, lowering),
    )
  }

  /** Scores or pattern or both of block `layer`, from queries and keys. */
  scores(layer: number, captures: ReadonlySet<BlockSite>): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    const { attention } = spec.blocks[layer]
    const { heads, kvHeads, headDim, scale, softcap, sinks } = attention
    const part = `scores ${[heads, kvHeads, headDim, scale, softcap, sinks?.name].join()}`
    const variant = { captures, ports: new Map() }
    return this.#lease(part, variant, 0, () => scoresGraph(attention, captures, weights.add, lowering))
  }

  /** The insides of a norm, from its input. */
  norm(norm: NormSpec, width: number): Promise<SessionLease> {
    const part = `norm ${[norm.kind, norm.eps, width].join()}`
    return this.#lease(part, derivedVariant, 0, () => normGraph(norm, width, this.#options.lowering))
  }

  /** The results of single heads of block `layer`, from z. */
  result(layer: number): Promise<SessionLease> {
    const { spec, weights } = this.#options
    const { attention } = spec.blocks[layer]
    // The output matrix is kept once more, by heads.
    const bytes = 4 * sizeOf(attention.output.weight.shape)
    return this.#lease(`result ${layer}`, derivedVariant, bytes, () => resultGraph(attention, weights.add))
  }

  unembedding(variant: Variant<OuterSite>): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    const bytes = 4 * sizeOf(spec.unembedding.head.weight.shape)
    return this.#lease('unembedding', variant, bytes, () =>
      unembeddingGraph(spec, variant, weights.add, lowering),
    )
  }

  /** Releases all sessions, once the runs that use them are done with them. */
  async release(): Promise<void> {
    this.#released = true
    const idle = [...this.#entries].filter(([, entry]) => entry.users === 0)
    await Promise.all(idle.map(([key, entry]) => this.#drop(key, entry)))
  }

  async #lease(
    part: string,
    variant: Variant<string>,
    bytes: number,
    build: () => Graph,
  ): Promise<SessionLease> {
    if (this.#released)
      throw new PatchbayError('model.not-open', 'The model was closed.', { next: 'Open it again.' })
    const plain = variant.captures.size === 0 && variant.ports.size === 0
    const key = plain ? part : `${part}|${variantKey(variant)}`
    const entry = this.#entries.get(key) ?? this.#compile(build(), plain, bytes)
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    entry.users++
    try {
      const session = await entry.session
      return { session, done: () => this.#giveBack(key, entry) }
    } catch (error) {
      entry.users--
      if (this.#entries.get(key) === entry) {
        this.#entries.delete(key)
        this.#bytes -= entry.bytes
      }
      throw error
    }
  }

  #compile(graph: Graph, plain: boolean, bytes: number): Entry {
    const { provider, weights } = this.#options
    const session = Session.create(graph, { provider, folder: weights.folder, prepack: plain })
    const entry = { session, bytes: plain ? 0 : SESSION_BYTES + bytes, users: 0 }
    this.#bytes += entry.bytes
    return entry
  }

  async #giveBack(key: string, entry: Entry): Promise<void> {
    entry.users--
    if (!this.#released) await this.#evict()
    else if (entry.users === 0) await this.#drop(key, entry)
  }

  async #evict(): Promise<void> {
    const limit = this.#options.variantBytes ?? this.#enoughForOneRun
    if (this.#bytes <= limit) return
    for (const [key, entry] of this.#entries) {
      if (this.#bytes <= limit) return
      if (entry.bytes > 0 && entry.users === 0) await this.#drop(key, entry)
    }
  }

  async #drop(key: string, entry: Entry): Promise<void> {
    if (this.#entries.get(key) === entry) this.#entries.delete(key)
    this.#bytes -= entry.bytes
    await (await entry.session).release()
  }
}

/** A session for the time of a run; `done` gives it back. */
export interface SessionLease {
  readonly session: Session
  readonly done: () => Promise<void>
}

/** Runs a session and gives it back, whether it succeeds or not. */
export async function runLeased(
  { session, done }: SessionLease,
  feeds: Feeds,
  outputs: readonly string[],
): Promise<Record<string, OrtTensor>> {
  try {
    return await session.run(feeds, outputs)
  } finally {
    await done()
  }
}
