/** Sessions of backward passes, made when a run first asks for gradients: a model that is never differentiated has none. */
import type { OuterSite } from '../../../preload/hooks'
import { sizeOf } from '../../../preload/tensor'
import { weightsOf, type BlockSpec } from '../../models/spec'
import type { Weight } from '../../models/weights'
import type { Graph } from '../../onnx/graph'
import { serialise } from '../../onnx/serialise'
import type { CompileOptions } from '../compiled'
import {
  blockBackwardGraph,
  blockGradientKey,
  embeddingBackwardGraph,
  type BlockGradients,
} from '../graph/backward'
import { gradientKey, type GradientVariant } from '../graph/gradient'
import { headBackwardGraph, headGradientKey, type HeadGradients } from '../graph/metric'
import { Session } from '../session'
import { SESSION_BYTES, SessionPool, type SessionLease } from '../session-pool'

/**
 * What sessions that compute a block again, for runs too long to keep its activations, may map of the weights beside those
 * that the forward pass has. Where all blocks together fit they stay. Larger models compile them in every run: measured for
 * 30 blocks at 512 tokens, that is 0.35 s of 6.3 s of the processors' time, where keeping them mapped 390 MB more, 1.4 times
 * the peak without.
 */
const RECOMPUTING_BYTES = 64 * 2 ** 20
const STAYING_BYTES = 192 * 2 ** 20

export class BackwardGraphs {
  readonly #options: CompileOptions
  readonly #pool: SessionPool
  /** Of those that compute blocks again. */
  readonly #recomputing: SessionPool
  /** Written graphs of those, which come and go: they hold no large weights. */
  readonly #models = new Map<string, Uint8Array>()

  /** @param shared where memory is short: what all sessions together have; null where there is enough for all blocks */
  constructor(options: CompileOptions, shared: SessionPool | null) {
    this.#options = options
    if (shared !== null) {
      this.#pool = this.#recomputing = shared
      return
    }
    const { blocks, unembedding } = options.spec
    const allBlocks = blocks.reduce((sum, block) => sum + 2 * SESSION_BYTES + this.#bytesOf(block), 0)
    const enoughForOneRun = allBlocks + bytesInFloats([unembedding.head.weight])
    const recomputing = allBlocks <= STAYING_BYTES ? allBlocks : RECOMPUTING_BYTES
    this.#pool = new SessionPool(options.variantBytes ?? enoughForOneRun)
    this.#recomputing = new SessionPool(options.variantBytes ?? recomputing)
  }

  /** Whether matrices are kept in quantised blocks. */
  get quantised(): boolean {
    return this.#options.weights.quantised
  }

  /** Sessions that are compiled now, those in a shared pool not counted. */
  get count(): number {
    return this.#options.sessionBytes === undefined ? this.#pool.count + this.#recomputing.count : 0
  }

  /** The backward pass of block `layer`. */
  block(layer: number, variant: BlockGradients): Promise<SessionLease> {
    const { spec, weights, lowering, sessionBytes } = this.#options
    const build = (): Graph => blockBackwardGraph(spec, layer, variant, weights.add, lowering)
    const bytes = this.#bytesOf(spec.blocks[layer])
    const key = `block ${layer} backward|${blockGradientKey(variant)}`
    // Where values are given, each matrix is used once: rearranged for that, the file's own copy is not read again.
    const prepack = variant.given && sessionBytes === undefined
    return this.#lease(variant.given ? this.#pool : this.#recomputing, key, bytes, build, prepack)
  }

  /** Final norm, unembedding and metric, forward and back. */
  head(variant: HeadGradients): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    const build = (): Graph => headBackwardGraph(spec, variant, weights.add, lowering)
    // Of chosen logits only their rows are read.
    const reads = variant.kind !== 'chosen' && variant.kind !== 'none'
    const bytes = reads ? bytesInFloats([spec.unembedding.head.weight]) : 0
    return this.#lease(this.#pool, `metric|${headGradientKey(variant)}`, bytes, build)
  }

  /** The backward pass of the embedding, to its weights. */
  embedding(variant: GradientVariant<OuterSite>): Promise<SessionLease> {
    const { spec, weights, lowering } = this.#options
    const build = (): Graph => embeddingBackwardGraph(spec, variant, weights.add, lowering)
    return this.#lease(this.#pool, `embedding backward|${gradientKey(variant)}`, 0, build)
  }

  /** Releases all sessions, once the runs that use them are done with them. */
  async release(): Promise<void> {
    await this.#pool.release()
    await this.#recomputing.release()
  }

  #lease(
    pool: SessionPool,
    key: string,
    bytes: number,
    build: () => Graph,
    prepack = false,
  ): Promise<SessionLease> {
    const { provider, weights } = this.#options
    const { folder, quantised } = weights
    return pool.lease({ key, bytes }, () => {
      const model = this.#models.get(key) ?? serialise(build())
      if (pool === this.#recomputing) this.#models.set(key, model)
      const [name] = key.split('|')
      return Session.load(model, name, { provider, folder, prepack: quantised || prepack })
    })
  }

  /**
   * On the way back a quantised matrix is made float32 when the session is compiled: with gradients a quantised model takes up to
   * the memory of a float32 one, but for the embedding, until it is closed or other sessions need the room.
   */
  #bytesOf(block: BlockSpec): number {
    return bytesInFloats(weightsOf(block))
  }
}

const bytesInFloats = (weights: readonly Weight[]): number =>
  weights.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)
