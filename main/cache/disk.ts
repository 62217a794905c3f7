/**
 * Captures on disk, below those in memory: what the store has is read instead of computed, and what is computed is stored
 * where that was asked for. Only exact values answer a run: what was stored with loss is for those who ask for it.
 */
import { asPatchbayError } from '../../preload/errors'
import type { RunInput, RunRequest, RunResult } from '../../preload/run'
import type { Compute } from './memory'
import { assemble, collect, isOfBackward, outputsOf, requestFor } from './outputs'
import { rowKey, rowRequests, type NumericIdentity, type RowRequest } from './row-request'
import type { Kept, RunOptions } from './shared-pass'
import { runsOf } from './store/slice'
import type { ActivationStore, PutItem, StoredValues } from './store/store'

/** What of a model names and shapes its values. */
export interface StoredModel {
  readonly identity: NumericIdentity
  /** Axes of a hook point, batch first; null where it holds one value for all rows. */
  axes(hook: string): readonly string[] | null
}

export interface DiskStatistics {
  /** Outputs read from disk, and those that were not there. */
  hits: number
  misses: number
  stored: number
  /** Failures of the disk; the values were computed instead, or not kept. */
  failures: number
}

export class DiskCaptures {
  /** Keeps what runs compute, exactly, under this set; nothing unless given. */
  keep: { set: string } | null = null
  private readonly counts: DiskStatistics = { hits: 0, misses: 0, stored: 0, failures: 0 }
  private opened: Promise<ActivationStore | null> | null = null

  /** @param open opens the store; called once, when it is first needed */
  constructor(private readonly open: () => Promise<ActivationStore>) {}

  /** Answers a request from disk as far as possible and computes the rest. A disk that fails only costs the time to compute. */
  async run(
    model: StoredModel,
    input: RunInput,
    compute: Compute,
    options: RunOptions = {},
  ): Promise<RunResult> {
    const { request } = input
    const wanted = outputsOf(request)
    const storable = new Map(wanted.flatMap((output) => entryOf(request, output, model) ?? []))
    const store = storable.size === 0 ? null : await this.store()
    if (store === null) return compute(input, options)
    if (this.keep === null && (await store.isEmpty())) return compute(input, options)
    const rows = rowRequests(model.identity, input).map((row) => ({ request: row, key: rowKey(row) }))
    const found = new Map<string, Kept>()
    for (const [output, entry] of storable) {
      const value = await this.attempt(() => load(store, rows, entry))
      if (value !== null) found.set(output, value)
    }
    this.counts.hits += found.size
    this.counts.misses += storable.size - found.size
    const missing = wanted.filter((output) => !found.has(output))
    if (missing.length === 0) return assemble(request, found)
    const rest = requestFor(request, missing)
    const computed = collect(rest, await compute({ ...input, request: rest }, options))
    if (this.keep !== null) await this.putComputed(store, rows, storable, computed, this.keep.set)
    return assemble(request, new Map([...found, ...computed]))
  }

  statistics(): DiskStatistics {
    return { ...this.counts }
  }

  /** The store, for jobs; null where it can not be opened. */
  store(): Promise<ActivationStore | null> {
    this.opened ??= this.attempt(this.open)
    return this.opened
  }

  async close(): Promise<void> {
    await (await this.opened)?.close()
  }

  private async putComputed(
    store: ActivationStore,
    rows: readonly StoredRow[],
    storable: ReadonlyMap<string, Entry>,
    computed: ReadonlyMap<string, Kept>,
    set: string,
  ): Promise<void> {
    const items: PutItem[] = []
    for (const [output, value] of computed) {
      const entry = storable.get(output)
      // A value without the batch's rows is one of all rows together.
      if (entry === undefined || value.shape[0] !== rows.length) continue
      rows.forEach((row, index) => items.push(itemOf(row, index, entry, value)))
    }
    const report = await this.attempt(() => store.put(items, { set }))
    this.counts.stored += report?.stored ?? 0
  }

  /** What the disk does; null where it fails, which is told and counted. */
  private async attempt<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work()
    } catch (error) {
      this.counts.failures++
      console.warn(`The activation store could not be used: ${asPatchbayError(error).message}`)
      return null
    }
  }
}

interface StoredRow {
  request: RowRequest
  key: string
}

/** An output as the store knows it. */
interface Entry {
  name: string
  axes: readonly string[]
}

function entryOf(request: RunRequest, output: string, model: StoredModel): [string, Entry][] | null {
  if (isOfBackward(output)) return null
  if (output === 'residual')
    return [[output, { name: `residual:${request.stopLayer}`, axes: ['batch', 'pos', 'd_model'] }]]
  if (output.startsWith('logits:'))
    return [[output, { name: output, axes: ['batch', output === 'logits:all' ? 'pos' : 'one', 'd_vocab'] }]]
  const axes = model.axes(output)
  return axes?.[0] === 'batch' ? [[output, { name: output, axes }]] : null
}

const isPosition = (axis: string): boolean => axis === 'pos' || axis === 'q_pos' || axis === 'k_pos'

/** The part of a batch's value that is of one row, as ranges: its row, its own positions, all of the other axes. */
const rangesOfRow = (
  shape: readonly number[],
  axes: readonly string[],
  row: number,
  length: number,
): [number, number][] =>
  shape.map((size, axis) => (axis === 0 ? [row, row + 1] : [0, isPosition(axes[axis]) ? length : size]))

function itemOf(
  { request, key }: StoredRow,
  index: number,
  { name, axes }: Entry,
  { shape, data }: Kept,
): PutItem {
  const ranges = rangesOfRow(shape, axes, index, request.tokens.length)
  const own = ranges.slice(1).map(([, stop]) => stop)
  const out = new Float32Array(own.reduce((product, n) => product * n, 1))
  let at = 0
  for (const { start, length } of runsOf(ranges, shape, 1)) {
    out.set(data.subarray(start, start + length), at)
    at += length
  }
  return { row: key, request, output: name, dtype: 'float32', shape: own, data: out }
}

/** An output of all rows as a batch, padded with zeros; null unless every row is there. */
async function load(
  store: ActivationStore,
  rows: readonly StoredRow[],
  { name, axes }: Entry,
): Promise<Kept | null> {
  const parts: StoredValues[] = []
  for (const { key } of rows) {
    const part = await store.readBest({ row: key, output: name }, { exact: true })
    if (part === null || part.shape.length !== axes.length - 1) return null
    parts.push(part)
  }
  const shape = [
    rows.length,
    ...parts[0].shape.map((size, axis) => Math.max(size, ...parts.map((part) => part.shape[axis]))),
  ]
  if (rows.length === 1) return { shape, data: parts[0].data, from: 'disk' }
  const data = new Float32Array(shape.reduce((product, n) => product * n, 1))
  for (const [index, part] of parts.entries()) {
    const ranges = rangesOfRow(shape, axes, index, rows[index].request.tokens.length)
    if (ranges.slice(1).some(([, stop], axis) => stop !== part.shape[axis])) return null
    let at = 0
    for (const { start, length } of runsOf(ranges, shape, 1)) {
      data.set(part.data.subarray(at, at + length), start)
      at += length
    }
  }
  return { shape, data, from: 'disk' }
}
