/**
 * A model as a stack of compiled blocks: embed → block 0 → … → block N−1 → unembed. The residual stream passes between
 * them as a tensor, so a run can start and stop at any block, and progress and cancellation fall between blocks.
 */
import { PatchbayError } from '../../preload/errors'
import type { Provider } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { TransformerSpec } from '../models/spec'
import { throwIfCancelled } from './cancelled'
import { CompiledGraphs, type CompileOptions } from './compiled'
import { ForwardRun, type ForwardRequest, type ForwardResult } from './forward'
import { plainVariant } from './graph/variant'
import { layoutOf, type Layout } from './layout'
import { failure } from './session'

export class BlockStack {
  readonly spec: TransformerSpec
  readonly provider: Provider
  readonly #graphs: CompiledGraphs
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: CompileOptions) {
    this.spec = options.spec
    this.provider = options.provider
    this.#graphs = new CompiledGraphs(options)
  }

  /** Compiles the plain graphs, so that the first run does not wait for them. */
  async compile(signal?: AbortSignal, onProgress?: (done: number, total: number) => void): Promise<void> {
    const layers = this.spec.blocks.length
    const parts = [
      () => this.#graphs.embedding(plainVariant()),
      ...this.spec.blocks.map((_, layer) => () => this.#graphs.block(layer, plainVariant())),
      () => this.#graphs.unembedding(plainVariant()),
    ]
    for (const [i, part] of parts.entries()) {
      throwIfCancelled(signal)
      await (await part()).done()
      onProgress?.(i + 1, layers + 2)
    }
  }

  /** Columns and positions that a request computes; its interventions are laid out for it. */
  layoutOf(request: Pick<ForwardRequest, 'start' | 'cache'>): Layout {
    const { start, cache } = request
    return start.kind === 'tokens'
      ? layoutOf(
          start.rows.map((row) => row.length),
          cache,
        )
      : layoutOf(start.lengths, cache, start.residual.shape[1])
  }

  /**
   * Runs the stack. Runs of one stack are taken one after the other.
   * @throws PatchbayError `run.cancelled`, `run.failed`, `memory.exhausted`, `hook.unavailable` for a capture outside the run
   */
  forward(request: ForwardRequest): Promise<ForwardResult> {
    const run = this.#queue.then(async () => {
      try {
        return await new ForwardRun(this.spec, this.#graphs, this.layoutOf(request), request).run()
      } catch (error) {
        // Arrays of ours that do not fit are a RangeError.
        throw error instanceof RangeError ? failure('The run', error) : error
      }
    })
    this.#queue = run.catch(() => undefined)
    return run
  }

  /** Final norm and unembedding of residual-stream rows [n, d_model] → logits [n, d_vocab]. */
  async unembed(rows: Tensor, signal?: AbortSignal): Promise<Tensor> {
    throwIfCancelled(signal)
    const [count, width] = rows.shape
    const result = await this.forward({
      start: {
        kind: 'residual',
        layer: this.spec.blocks.length,
        residual: { shape: [count, 1, width], data: rows.data },
        lengths: Array<number>(count).fill(1),
      },
      logits: 'all',
      signal,
    })
    if (result.logits === null) throw new PatchbayError('internal', 'The unembedding gave no logits.')
    return { shape: [count, this.spec.vocab], data: result.logits.data }
  }

  /** Sessions that are compiled now. */
  get sessions(): number {
    return this.#graphs.count
  }

  /** Releases every session, after the run that is under way. */
  async release(): Promise<void> {
    await this.#queue
    await this.#graphs.release()
  }
}
