/**
 * One forward pass that several callers wait for. Until it starts it takes in what further callers of the same pass want;
 * afterwards it accepts those for whom it already computes everything. It is cancelled when nobody waits any more.
 */
import { asPatchbayError } from '../../preload/errors'
import type { RunResult } from '../../preload/run'
import { throwIfCancelled } from '../runtime/cancelled'

export interface RunOptions {
  signal?: AbortSignal
  /** Blocks done of all. */
  onProgress?: (done: number, total: number) => void
  /** The results are wanted once and are large: they are not kept, and push out nothing. */
  transient?: boolean
  /** Told where each output came from (see outputs.ts for their names), before the result. */
  onSources?: (sources: Readonly<Record<string, Source>>) => void
}

/** One array of a run's result. */
export type Kept = NonNullable<RunResult['logits']> & { readonly from?: 'disk' }

/** Where an array of a result came from. */
export type Source = 'memory' | 'disk' | 'computed'

/** Computes the named outputs. */
type Start = (outputs: readonly string[], options: RunOptions) => Promise<ReadonlyMap<string, Kept>>

export class SharedPass {
  private readonly outputs = new Set<string>()
  private readonly kept = new Set<string>()
  private readonly waiting = new Set<RunOptions>()
  private readonly controller = new AbortController()
  private readonly result: Promise<ReadonlyMap<string, Kept>>
  private started = false
  private ended = false

  constructor(start: Start) {
    this.result = this.begin(start)
    // Every caller sees a failure through its own promise; this one may be left without a listener.
    this.result.catch(() => undefined)
  }

  /** Whether this pass can answer a caller who wants these outputs. */
  accepts(wanted: readonly string[]): boolean {
    if (this.ended || this.controller.signal.aborted) return false
    return this.started ? wanted.every((output) => this.outputs.has(output)) : !this.clashes(wanted)
  }

  /** Adds a caller; resolves with at least the outputs that it wants. */
  wait(wanted: readonly string[], options: RunOptions): Promise<ReadonlyMap<string, Kept>> {
    for (const output of wanted) {
      this.outputs.add(output)
      if (options.transient !== true) this.kept.add(output)
    }
    this.waiting.add(options)
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.waiting.delete(options)
        options.signal?.removeEventListener('abort', abort)
      }
      const abort = (): void => {
        leave()
        if (this.waiting.size === 0) this.controller.abort(options.signal?.reason)
        try {
          throwIfCancelled(options.signal)
        } catch (error) {
          reject(asPatchbayError(error))
        }
      }
      options.signal?.addEventListener('abort', abort)
      void this.result.then(resolve, reject).finally(leave)
    })
  }

  /** Whether some caller wants this output again. */
  keeps(output: string): boolean {
    return this.kept.has(output)
  }

  /** Calls back when the pass is over, whether it succeeded or not. */
  onEnd(listener: () => void): void {
    this.result.then(listener, listener)
  }

  private async begin(start: Start): Promise<ReadonlyMap<string, Kept>> {
    // One turn of the event loop: views that open together send their calls together.
    await new Promise((resolve) => setImmediate(resolve))
    this.started = true
    try {
      throwIfCancelled(this.controller.signal)
      return await start([...this.outputs], {
        signal: this.controller.signal,
        onProgress: (done, total) => {
          for (const caller of this.waiting) caller.onProgress?.(done, total)
        },
      })
    } finally {
      this.ended = true
    }
  }

  /** A pass computes the logits of all positions or of the last, not both. */
  private clashes(wanted: readonly string[]): boolean {
    const both = new Set([...this.outputs, ...wanted])
    return both.has('logits:last') && both.has('logits:all')
  }
}
