/**
 * The compiled graphs of a model. Plain graphs stay; variants are compiled when a run asks for them and the least recently
 * used ones are released when they exceed their share of memory.
 */
import type { BlockSite, OuterSite } from '../../preload/hooks'
import type { Provider } from '../../preload/run'
import { sizeOf } from '../../preload/tensor'
import { weightsOf, type BlockSpec, type NormSpec, type TransformerSpec } from '../models/spec'
import type { Graph } from '../onnx/graph'
import { serialise } from '../onnx/serialise'
import { BackwardGraphs } from './backward/compiled'
import { blockGraph } from './graph/block'
import type { Lowering } from './graph/context'
import { normGraph, resultGraph, scoresGraph } from './graph/derived'
import { embeddingGraph, unembeddingGraph } from './graph/ends'
import { segmentGraph } from './graph/segment'
import { plainVariant, variantKey, type Variant } from './graph/variant'
import { partsOf, type Part } from './forecast'
import type { PlacedWeights } from './placement'
import { ReadAhead, staying } from './residency'
import { Session } from './session'
import { SESSION_BYTES, SessionPool, type SessionLease } from './session-pool'
import type { RowReader } from './table-rows'
import { WaveGraphs } from './wave/graphs'

export interface CompileOptions {
  readonly spec: TransformerSpec
  readonly weights: PlacedWeights
  readonly provider: Provider
  readonly lowering: Lowering
  /** Consecutive blocks that are compiled as one graph where a run leaves them alone; unless given, a few of a deep model. */
  readonly blocksPerGraph?: number
  /** Bytes that variant sessions may take; unless given, enough for one variant of every block. */
  readonly variantBytes?: number
  /**
   * Bytes that all sessions together may take. Weights are then used where their file is mapped, and parts that do not fit
   * are compiled when a run comes to them and released behind it.
   */
  readonly sessionBytes?: number
}

/** Of the graphs that hook points are derived with: they can be dropped like variants. */
const derivedVariant: Variant<string> = { captures: new Set(['derived']), ports: new Map() }

/** Measured: three blocks in one graph save most of what sessions cost; more would make changes of one block dearer. */
const BLOCKS_PER_GRAPH = 3
/** Blocks from which on a model is deep: with fewer, sessions cost little. */
const DEEP = 12

export class CompiledGraphs {
  readonly #options: CompileOptions
  readonly #pool: SessionPool
  readonly waves: WaveGraphs
  readonly backward: BackwardGraphs
  readonly #ahead: ReadAhead
  /** null where all do. */
  readonly #staying: ReadonlySet<Part['part']> | null
  /** Graphs of the parts that come and go, written: they hold no large weights. */
  readonly #models = new Map<string, Uint8Array>()

  constructor(options: CompileOptions) {
    this.#options = options
    this.waves = new WaveGraphs(options)
    this.#ahead = new ReadAhead(options.weights.folder)
    if (options.sessionBytes !== undefined) {
      const parts = partsOf(options.spec, options.weights.bytesOf)
      const stay = staying(parts, options.sessionBytes)
      this.#staying = stay
      const taken = parts.reduce((sum, { part, bytes }) => sum + (stay.has(part) ? bytes : 0), 0)
      this.#pool = new SessionPool(options.sessionBytes - taken)
      this.backward = new BackwardGraphs(options, this.#pool)
      return
    }
    this.#staying = null
    const enoughForOneRun = options.spec.blocks.reduce(
      (sum, block) => sum + 2 * SESSION_BYTES + this.#blockBytes(block),
      0,
    )
    this.#pool = new SessionPool(options.variantBytes ?? enoughForOneRun)
    this.backward = new BackwardGraphs(options, null)
  }

  /** Sessions that are compiled now. */
  get count(): number {
    return this.#pool.count + this.backward.count + this.waves.count
  }

  /** Whether a part, once compiled, is kept for the next run. */
  stays(part: Part['part']): boolean {
    return this.#staying === null || this.#staying.has(part)
  }

  /** Looks up the rows of tokens that the embedding's graph is given; null where it looks them up itself. */
  get tokenRows(): RowReader | null {
    return this.#options.weights.tokenRows
  }

  /** Reads ahead what block `layer` (the unembedding behind the last) will map, if it is not compiled. */
  prefetch(layer: number): void {
    const { spec, weights } = this.#options
    const isBlock = layer < spec.blocks.length
    if (this.stays(isBlock ? layer : 'unembedding')) return
    this.#ahead.start(weights.rangesOf(weightsOf(isBlock ? spec.blocks[layer] : spec.unembedding)))
  }

  embedding(variant: Variant<OuterSite>): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    const given = weights.tokenRows !== null
    const build = (): Graph => embeddingGraph(spec, variant, weights.add, lowering, given)
    const bytes = given ? 0 : weights.bytesOf(weightsOf(spec.embedding))
    return this.#lease('embedding', variant, bytes, build, { stays: this.#staying === null })
  }

  /** @param again whether the next run will want it again, even where it does not stay */
  block(layer: number, variant: Variant<BlockSite>, again = false): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    const build = (): Graph => blockGraph(spec, layer, variant, weights.add, lowering)
    const bytes = (again ? 2 : 1) * this.#blockBytes(spec.blocks[layer])
    const stays = this.stays(layer) && !this.#inSegment(layer)
    return this.#lease(`block ${layer}`, variant, bytes, build, { stays, again })
  }

  /** How many blocks from `layer` on have a graph together: 1 inside of such a segment, and where each is on its own. */
  segmentAt(layer: number): number {
    const { spec, blocksPerGraph = spec.blocks.length < DEEP ? 1 : BLOCKS_PER_GRAPH } = this.#options
    // Under a memory budget each block comes and goes alone.
    if (this.#staying !== null || layer % blocksPerGraph !== 0) return 1
    return Math.min(blocksPerGraph, spec.blocks.length - layer)
  }

  /** `count` unchanged blocks from `first` on as one graph. */
  segment(first: number, count: number): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    const build = (): Graph => segmentGraph(spec, first, count, weights.add, lowering)
    return this.#lease(`blocks ${first} to ${first + count - 1}`, plainVariant(), 0, build)
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
    const bytes = weights.bytesOf([spec.unembedding.head.weight])
    const build = (): Graph => unembeddingGraph(spec, variant, weights.add, lowering)
    return this.#lease('unembedding', variant, bytes, build, {
      stays: this.stays('unembedding'),
    })
  }

  /** Whether all parts may be compiled at once: not under a memory budget. */
  get unlimited(): boolean {
    return this.#staying === null
  }

  /** Releases the sessions that come and go, which no run will need soon. */
  trim(): Promise<void> {
    return this.#pool.trim()
  }

  /** Releases all sessions, once the runs that use them are done with them. */
  async release(): Promise<void> {
    await this.#ahead.done()
    await this.#pool.release()
    await this.backward.release()
    await this.waves.release()
  }

  #inSegment(layer: number): boolean {
    const { blocksPerGraph = BLOCKS_PER_GRAPH } = this.#options
    return this.segmentAt(layer - (layer % blocksPerGraph)) > 1
  }

  /** Bytes that a session over the block's weights maps: they are shared with other sessions, but counted as resident. */
  #blockBytes(block: BlockSpec): number {
    return this.#options.weights.bytesOf(weightsOf(block))
  }

  #lease(
    part: string,
    variant: Variant<string>,
    bytes: number,
    build: () => Graph,
    { stays = true, again = false } = {},
  ): Promise<SessionLease> {
    const { provider, weights } = this.#options
    const plain = variant.captures.size === 0 && variant.ports.size === 0
    const key = plain ? part : `${part}|${variantKey(variant)}`
    // A quantised matrix that was not rearranged would be made float32 in every run.
    const prepack = weights.quantised || (plain && (again || this.#staying === null))
    const kept = plain && stays
    const model = (): Uint8Array => {
      const known = this.#models.get(key) ?? serialise(build())
      if (plain && !stays) this.#models.set(key, known)
      return known
    }
    return this.#pool.lease({ key, bytes: kept ? null : bytes }, async () =>
      Session.load(model(), part, { provider, folder: weights.folder, prepack }),
    )
  }
}
