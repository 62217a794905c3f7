/**
 * A model as a stack of compiled blocks: embed → block 0 → … → block N−1 → unembed. The residual stream passes between
 * them as a tensor, so a run can start and stop at any block, and progress and cancellation fall between blocks.
 */
import { PatchbayError } from '../../preload/errors'
import { hookDims, hookName, isResidual } from '../../preload/hooks'
import type { Provider } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { hookSizes, resolveHook } from '../models/hook-points'
import { sameAngles } from '../models/rope'
import type { TransformerSpec } from '../models/spec'
import { planBackward } from './backward/plan'
import { BackwardRun, type BackwardResult } from './backward/run'
import { throwIfCancelled } from './cancelled'
import { CompiledGraphs, type CompileOptions } from './compiled'
import { ForwardRun, type ForwardRequest, type ForwardResult } from './forward'
import { plainVariant } from './graph/variant'
import type { KeyValueCache } from './kv'
import { layoutOf, type Layout } from './layout'
import type { BackwardRequest, Hook, Runnable } from './runnable'
import { failure } from './session'

export class BlockStack implements Runnable {
  readonly spec: TransformerSpec
  readonly provider: Provider
  readonly #graphs: CompiledGraphs
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: CompileOptions) {
    this.spec = options.spec
    this.provider = options.provider
    this.#graphs = new CompiledGraphs(options)
  }

  get dModel(): number {
    return this.spec.dModel
  }

  get vocab(): number {
    return this.spec.vocab
  }

  get contextLength(): number {
    return this.spec.contextLength
  }

  hook(name: string): Hook {
    const point = resolveHook(this.spec, name)
    return {
      name: hookName(point),
      dims: hookDims(point),
      sizes: hookSizes(this.spec, point),
      residual: isResidual(point),
      shared: false,
    }
  }

  /** Compiles the plain graphs that stay, so that the first run does not wait for them. */
  async compile(signal?: AbortSignal, onProgress?: (done: number, total: number) => void): Promise<void> {
    const parts = [
      () => this.#graphs.embedding(plainVariant()),
      ...this.#segments().map(
        ([first, count]) =>
          () =>
            count > 1
              ? this.#graphs.segment(first, count)
              : this.#graphs.stays(first) && this.#graphs.block(first, plainVariant()),
      ),
      () => this.#graphs.stays('unembedding') && this.#graphs.unembedding(plainVariant()),
    ]
    for (const [i, part] of parts.entries()) {
      throwIfCancelled(signal)
      const lease = await part()
      if (lease !== false) await lease.done()
      onProgress?.(i + 1, parts.length)
    }
  }

  /** First block and number of blocks of each graph. */
  #segments(): [number, number][] {
    const found: [number, number][] = []
    for (let layer = 0; layer < this.spec.blocks.length; layer += found[found.length - 1][1])
      found.push([layer, this.#graphs.segmentAt(layer)])
    return found
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
    return this.#inTurn(() => new ForwardRun(this.spec, this.#graphs, this.layoutOf(request), request).run())
  }

  /** Work on the compiled graphs themselves, taken in turn with runs. */
  onGraphs<T>(work: (graphs: CompiledGraphs) => Promise<T>): Promise<T> {
    return this.#inTurn(() => work(this.#graphs))
  }

  /** Whether all parts may be compiled at once: not under a memory budget. */
  get unlimited(): boolean {
    return this.#graphs.unlimited
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(async () => {
      try {
        return await work()
      } catch (error) {
        // Arrays of ours that do not fit are a RangeError.
        throw error instanceof RangeError ? failure('The run', error) : error
      }
    })
    this.#queue = run.catch(() => undefined)
    return run
  }

  /**
   * Runs the stack and differentiates a metric of it.
   * @throws PatchbayError as `forward`, and `input.invalid`, `hook.unknown` or `hook.unavailable` for what can not be
   *   differentiated
   */
  backward(request: BackwardRequest): Promise<BackwardResult> {
    const { backward, rows, tensors, ...forward } = request
    const { start, stopLayer } = forward
    const blocks = this.spec.blocks.length
    const plan = planBackward(this.spec, {
      backward,
      rows,
      tensors,
      range: {
        first: start.kind === 'tokens' ? 0 : start.layer,
        stop: stopLayer ?? blocks,
        blocks,
        embeds: start.kind === 'tokens',
      },
      quantised: this.#graphs.backward.quantised,
    })
    return this.#inTurn(() =>
      new BackwardRun(this.spec, this.#graphs, this.layoutOf(forward), forward, plan).run(),
    )
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

  /** Where a rotary scaling depends on the length, cached keys may be rotated for another one. */
  continues(cache: KeyValueCache): boolean {
    const { ropes } = this.spec
    return cache.lengths().every((length) => ropes.every((rope) => sameAngles(rope, length, length + 1)))
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
