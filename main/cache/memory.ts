/**
 * Recent captures in memory. Lens, attention and activation views of one prompt ask for parts of the same forward pass;
 * each part is computed once, requests that come together travel in one run, and what was used longest ago is dropped.
 */
import { PatchbayError } from '../../preload/errors'
import type { RunInput, RunRequest, RunResult } from '../../preload/run'
import { ByteLru } from './byte-lru'
import { throwIfCancelled } from '../runtime/cancelled'
import { canonicalHook, passKey } from './key'
import { SharedPass, type Kept, type RunOptions } from './shared-pass'

export type { RunOptions } from './shared-pass'

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
    const pass = `${model}\n${passKey(model, input)}`
    const wanted = outputsOf(input.request)
    const found = new Map<string, Kept>()
    for (const output of wanted) {
      const value = this.kept.get(`${pass}\n${output}`)
      if (value !== undefined) found.set(output, value)
    }
    const missing = wanted.filter((output) => !found.has(output))
    if (missing.length === 0) this.counts.hits++
    else
      for (const [output, value] of await this.obtain(pass, missing, input, compute, options))
        found.set(output, value)
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
    pass: string,
    missing: readonly string[],
    input: RunInput,
    compute: Compute,
    options: RunOptions,
  ): Promise<ReadonlyMap<string, Kept>> {
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
      for (const [output, value] of result)
        if (shared.keeps(output)) this.kept.set(`${pass}\n${output}`, value)
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

const LOGITS = 'logits:'
const RESIDUAL = 'residual'

/** Everything that a request returns, by name: hook points, `logits:last` or `logits:all`, `residual`. */
function outputsOf(request: RunRequest): string[] {
  const outputs = new Set(request.captures.map(canonicalHook))
  if (request.logits !== 'none' && request.stopLayer === undefined) outputs.add(LOGITS + request.logits)
  if (request.stopLayer !== undefined) outputs.add(RESIDUAL)
  return [...outputs]
}

const requestFor = (request: RunRequest, outputs: readonly string[]): RunRequest => ({
  ...request,
  captures: outputs.filter((output) => !output.startsWith(LOGITS) && output !== RESIDUAL),
  logits: outputs.includes('logits:all') ? 'all' : outputs.includes('logits:last') ? 'last' : 'none',
})

function collect(request: RunRequest, result: RunResult): Map<string, Kept> {
  const outputs = new Map<string, Kept>(Object.entries(result.captures))
  if (result.logits !== null && request.logits !== 'none') outputs.set(LOGITS + request.logits, result.logits)
  if (result.residual !== null) outputs.set(RESIDUAL, result.residual)
  return outputs
}

/** The result under the names that the caller used. */
function assemble(request: RunRequest, outputs: ReadonlyMap<string, Kept>): RunResult {
  const take = (output: string): Kept => {
    const value = outputs.get(output)
    if (value === undefined) throw new PatchbayError('internal', `The run did not return ${output}.`)
    return value
  }
  const stopped = request.stopLayer !== undefined
  return {
    lengths: request.rows.map((row) => row.length),
    captures: Object.fromEntries(request.captures.map((name) => [name, take(canonicalHook(name))])),
    logits: request.logits === 'none' || stopped ? null : take(LOGITS + request.logits),
    residual: stopped ? take(RESIDUAL) : null,
  }
}
