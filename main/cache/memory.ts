/**
 * Recent captures in memory. Lens, attention and activation views of one prompt ask for parts of the same forward pass;
 * each part is computed once, requests that come together travel in one run, and what was used longest ago is dropped.
 */
import type { RunInput, RunResult } from '../../preload/run'
import { ByteLru } from './byte-lru'
import { throwIfCancelled } from '../runtime/cancelled'
import { assemble, collect, isOfBackward, keysOf, outputsOf, requestFor, type Keys } from './outputs'
import { SharedPass, type Kept, type RunOptions, type Source } from './shared-pass'

export type { RunOptions, Source } from './shared-pass'

/** Runs a request without any cache. */
export type Compute = (input: RunInput, options: RunOptions) => Promise<RunResult>

export interface CaptureStatistics {
  /** Requests answered from memory, by joining a run that was under way or about to start, and by a run of their own. */
  hits: number
  shared: number
  misses: number
  bytes: number
  entries: number
}

export class CaptureMemory {
  private readonly kept: ByteLru<Kept>
  private readonly passes = new Map<string, SharedPass[]>()
  private readonly counts = { hits: 0, shared: 0, misses: 0 }

  /** @param maxBytes bound on the arrays kept, in bytes; 0 keeps nothing (requests are still shared) */
  constructor(maxBytes: number) {
    this.kept = new ByteLru(maxBytes, ({ data }) => data.byteLength)
  }

  /**
   * Answers a request from memory as far as possible and computes the rest.
   * The arrays belong to the memory: callers read them and neither change nor transfer them.
   * @param model handle of the open model: what was computed on another provider or in another precision is another result
   * @throws PatchbayError as `compute` does; `run.cancelled` when this caller's signal is aborted. A run that several
   * callers wait for goes on until all of them have cancelled.
   */
  async run(model: string, input: RunInput, compute: Compute, options: RunOptions = {}): Promise<RunResult> {
    throwIfCancelled(options.signal)
    const keys = keysOf(model, input)
    const wanted = outputsOf(input.request)
    const found = new Map<string, Kept>()
    for (const output of wanted) {
      const value = this.kept.get(keys.of(output))
      if (value !== undefined) found.set(output, value)
    }
    const missing = wanted.filter((output) => !found.has(output))
    const sources = Object.fromEntries(wanted.map((output): [string, Source] => [output, 'memory']))
    if (missing.length === 0) this.counts.hits++
    else
      for (const [output, value] of await this.obtain(keys, missing, input, compute, options)) {
        found.set(output, value)
        if (Object.hasOwn(sources, output)) sources[output] = value.from ?? 'computed'
      }
    options.onSources?.(sources)
    return assemble(input.request, found)
  }

  statistics(): CaptureStatistics {
    return { ...this.counts, bytes: this.kept.bytes, entries: this.kept.size }
  }

  /** Drops what was kept of a model, when it is closed. */
  forget(model: string): void {
    this.kept.deleteWithPrefix(`${model}\n`)
  }

  private obtain(
    keys: Keys,
    missing: readonly string[],
    input: RunInput,
    compute: Compute,
    options: RunOptions,
  ): Promise<ReadonlyMap<string, Kept>> {
    // A pass with a metric is joined by those who differentiate the same one.
    const pass = missing.some(isOfBackward) ? keys.backward : keys.forward
    const open = this.passes.get(pass) ?? []
    const joined = open.find((shared) => shared.accepts(missing))
    if (joined !== undefined) {
      this.counts.shared++
      return joined.wait(missing, options)
    }
    this.counts.misses++
    const shared: SharedPass = new SharedPass(async (outputs, runOptions) => {
      const request = requestFor(input.request, outputs)
      const result = collect(request, await compute({ ...input, request }, runOptions))
      for (const [output, value] of result) if (shared.keeps(output)) this.kept.set(keys.of(output), value)
      return result
    })
    this.passes.set(pass, [...open, shared])
    shared.onEnd(() => {
      const left = (this.passes.get(pass) ?? []).filter((other) => other !== shared)
      if (left.length > 0) this.passes.set(pass, left)
      else this.passes.delete(pass)
    })
    return shared.wait(missing, options)
  }
}
