/** What a request can be run on: a stack of blocks that Patchbay compiled, or a graph that somebody else exported. */
import type { Backward } from '../../preload/metric'
import type { Tensor } from '../../preload/tensor'
import type { BackwardResult } from './backward/run'
import type { ForwardRequest, ForwardResult } from './forward'
import type { KeyValueCache } from './kv'
import type { Layout } from './layout'

/** A place that can be captured and changed, in one model. */
export interface Hook {
  /** Canonical. */
  readonly name: string
  /** Axes, outermost first; batch and positions by their names in the contract, others by any. */
  readonly dims: readonly string[]
  /** Their sizes; null where the run decides. */
  readonly sizes: readonly (number | null)[]
  /** On the residual stream, where directions may be removed or clamped. */
  readonly residual: boolean
  /** Holds one value for all rows of the batch. */
  readonly shared: boolean
}

/** A run and what of it is differentiated. */
export interface BackwardRequest extends Omit<ForwardRequest, 'cache' | 'keepCache' | 'cacheBuffers'> {
  readonly backward: Backward
  /** Token ids of each row, also of a run that starts from a residual stream. */
  readonly rows: readonly (readonly number[])[]
  /** Those that the metric names. */
  readonly tensors: Readonly<Record<string, Tensor>>
}

export interface Runnable {
  readonly dModel: number
  readonly vocab: number
  readonly contextLength: number
  /** @throws PatchbayError `hook.unknown` with the nearest names, `hook.unavailable` */
  hook(name: string): Hook
  /** Columns and positions that a request computes; its interventions are laid out for it. */
  layoutOf(request: Pick<ForwardRequest, 'start' | 'cache'>): Layout
  /** Runs are taken one after the other. */
  forward(request: ForwardRequest): Promise<ForwardResult>
  /**
   * Runs, and differentiates a metric.
   * @throws PatchbayError `model.unsupported`, before anything runs, where the graph can not be differentiated
   */
  backward(request: BackwardRequest): Promise<BackwardResult>
  /** Logits [n, d_vocab] of residual-stream rows [n, d_model] as they are before the final norm. */
  unembed(rows: Tensor, signal?: AbortSignal): Promise<Tensor>
  /**
   * Whether a run may go on from these keys and values with one more token a row. Where it may not, the whole sequences
   * are computed again, as if they had been given as prompts.
   */
  continues(cache: KeyValueCache): boolean
  release(): Promise<void>
}
