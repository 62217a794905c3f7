/** The compiled graphs of waves: a model that is never swept has none. */
import type { Graph } from '../../onnx/graph'
import { serialise } from '../../onnx/serialise'
import type { CompileOptions } from '../compiled'
import { Session } from '../session'
import { SessionPool, type SessionLease } from '../session-pool'
import { waveBlockGraph, waveHeadGraph, waveTailGraph } from './graph'

/** Times the weights that memory must have free for one more copy of them. */
const PLENTY = 8

export class WaveGraphs {
  readonly #pool = new SessionPool(0)

  constructor(private readonly options: CompileOptions) {}

  /** Sessions that are compiled now. */
  get count(): number {
    return this.#pool.count
  }

  /** Block `layer` on the tokens of a wave; with `trims` it gives out chosen ones only. */
  block(layer: number, trims: boolean): Promise<SessionLease> {
    const { spec, weights, lowering } = this.options
    const build = (): Graph => waveBlockGraph(spec, layer, trims, weights.add, lowering)
    return this.#lease(`wave block ${layer}${trims ? ' trimmed' : ''}`, build)
  }

  /** What follows the heads of block `layer`. */
  tail(layer: number): Promise<SessionLease> {
    const { spec, weights, lowering } = this.options
    return this.#lease(`wave tail ${layer}`, () => waveTailGraph(spec, layer, weights.add, lowering))
  }

  /** The logits of chosen tokens. */
  head(): Promise<SessionLease> {
    const { spec, weights, lowering } = this.options
    return this.#lease('wave head', () => waveHeadGraph(spec, weights.add, lowering))
  }

  /** Releases all sessions, once the waves that use them are done with them. */
  release(): Promise<void> {
    return this.#pool.release()
  }

  /** Waves hold so many tokens that rearranged weights save little: only where memory is plentiful. */
  #lease(part: string, build: () => Graph): Promise<SessionLease> {
    const { provider, weights } = this.options
    const { folder, quantised, bytes } = weights
    return this.#pool.lease({ key: part, bytes: null }, () => {
      const prepack = quantised || PLENTY * bytes < process.availableMemory()
      return Session.load(serialise(build()), part, { provider, folder, prepack })
    })
  }
}
