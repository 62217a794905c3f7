/** An exported graph as something that requests can be run on, with the same interface as a stack of compiled blocks. */
import { PatchbayError } from '../../../preload/errors'
import type { Provider } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import { throwIfCancelled } from '../cancelled'
import type { ForwardRequest, ForwardResult } from '../forward'
import type { KeyValueCache } from '../kv'
import { layoutOf, type Layout } from '../layout'
import type { BackwardResult } from '../backward/run'
import type { BackwardRequest, Hook, Runnable } from '../runnable'
import { failure } from '../session'
import { ExportedBackwardGraphs } from './backward/graphs'
import { planExportedBackward } from './backward/plan'
import { ExportedBackwardRun } from './backward/run'
import { ExportedGraphs } from './compiled'
import { ExportedRun } from './forward'
import type { ExportedPlan } from './plan'

export interface ExportedStackOptions {
  readonly plan: ExportedPlan
  readonly provider: Provider
  /** Folder that the weights lie in. */
  readonly folder: string
  /** Positions that a run may have. */
  readonly contextLength: number
}

export class ExportedStack implements Runnable {
  readonly provider: Provider
  readonly plan: ExportedPlan
  readonly contextLength: number
  readonly dModel: number
  readonly vocab: number
  readonly #graphs: ExportedGraphs
  readonly #backward: ExportedBackwardGraphs
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: ExportedStackOptions) {
    this.plan = options.plan
    this.provider = options.provider
    this.contextLength = options.contextLength
    this.dModel = options.plan.decoder?.dModel ?? 0
    this.vocab = options.plan.recognition.vocab
    this.#graphs = new ExportedGraphs(options)
    this.#backward = new ExportedBackwardGraphs(options)
  }

  /** Compiles the plain parts, so that the first run does not wait for them. */
  async compile(signal?: AbortSignal, onProgress?: (done: number, total: number) => void): Promise<void> {
    const { parts } = this.plan
    for (const index of parts.keys()) {
      throwIfCancelled(signal)
      await (await this.#graphs.part(index, { captures: new Set(), ports: new Map() })).done()
      onProgress?.(index + 1, parts.length)
    }
  }

  hook(name: string): Hook {
    return this.plan.hook(name)
  }

  layoutOf({ start, cache }: Pick<ForwardRequest, 'start' | 'cache'>): Layout {
    return start.kind === 'tokens'
      ? layoutOf(
          start.rows.map((row) => row.length),
          cache,
        )
      : layoutOf(start.lengths, cache, start.residual.shape[1])
  }

  forward(request: ForwardRequest): Promise<ForwardResult> {
    return this.#inTurn(() => {
      const layout = this.layoutOf(request)
      return new ExportedRun(this.plan, this.#graphs, layout, request, this.contextLength).run()
    })
  }

  /**
   * Runs the graph and differentiates a metric of it, part after part where it was cut into parts, else whole.
   * @throws PatchbayError as `forward`; before anything runs `input.invalid`, `hook.unknown`, `hook.unavailable` and, naming
   *   the operator that has no rule, `model.unsupported` for what can not be differentiated
   */
  backward({ backward, rows, tensors, ...forward }: BackwardRequest): Promise<BackwardResult> {
    return this.#inTurn(() => {
      const wanted = planExportedBackward(this.plan, { backward, rows, tensors, forward })
      const parts = {
        plan: this.plan,
        graphs: this.#graphs,
        backward: this.#backward,
        layout: this.layoutOf(forward),
        contextLength: this.contextLength,
      }
      return new ExportedBackwardRun(parts, forward, wanted).run()
    })
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

  /** The rows stand for the positions of one sequence: what is behind the residual stream knows no others. */
  async unembed(rows: Tensor, signal?: AbortSignal): Promise<Tensor> {
    const [count, width] = rows.shape
    const { decoder, whole } = this.plan
    if (decoder === null || whole !== null)
      throw new PatchbayError(
        'hook.unavailable',
        `This graph can not be entered behind its blocks: ${whole}.`,
        {
          next: 'Look at the logits that it computes itself.',
        },
      )
    const data = new Float32Array(count * this.vocab)
    for (let start = 0; start < count; start += this.contextLength) {
      throwIfCancelled(signal)
      const length = Math.min(this.contextLength, count - start)
      const residual = {
        shape: [1, length, width],
        data: rows.data.slice(start * width, (start + length) * width),
      }
      const layer = decoder.layers
      const result = await this.forward({
        start: { kind: 'residual', layer, residual, lengths: [length] },
        logits: 'all',
        signal,
      })
      data.set(result.logits?.data ?? [], start * this.vocab)
    }
    return { shape: [count, this.vocab], data }
  }

  continues(cache: KeyValueCache): boolean {
    const { decoder, recognition } = this.plan
    const past = decoder?.past ?? null
    if (decoder === null || past === null || cache.layers.length < past.length) return false
    const uniform = cache.lengths().every((length) => length === cache.columns)
    // Rows of different lengths leave gaps: they must be masked, and positions can not be counted by columns.
    const { mask, positions } = recognition.roles
    return uniform || (decoder.gaps && mask !== null && positions !== null)
  }

  /** Sessions that are compiled now. */
  get sessions(): number {
    return this.#graphs.count + this.#backward.count
  }

  async release(): Promise<void> {
    await this.#queue
    await this.#graphs.release()
    await this.#backward.release()
  }
}
