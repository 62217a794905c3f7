/**
 * Extraction block by block: each block is loaded once, and the residual streams of the whole data set are carried through
 * it before the next. Between blocks they lie on disk (see spill.ts), so neither the model nor the data set has to fit into
 * memory. What a block's hook points gave is stored before the streams that it was computed from are written over.
 */
import path from 'node:path'
import { PatchbayError } from '../../preload/errors'
import type { Tensor } from '../../preload/tensor'
import { requireSpace } from '../files/durable-file'
import { BlockStack } from '../runtime'
import { throwIfCancelled } from '../runtime/cancelled'
import { giveBack } from '../runtime/give-back'
import { noNotes, Positions } from './entries'
import { identityOf, partsOf, type Part } from './parts'
import { runHooks } from './row-major'
import type { TodoRow } from './row'
import { ResidualSpill, TURNS } from './spill'
import { asExhausted, failureOf, notNumbers, tooLong, type ExtractionTask } from './task'

/** Tokens of a part at most: measured with twice as many, which took 40 MB more and no less time. */
const PART_TOKENS = 512

/**
 * Runs rows, the longest first.
 * @param folder the streams are kept there, and removed at the end
 * @param rows also those that nothing is missing of: parts are the same whenever it is gone on with
 * @throws PatchbayError `model.unsupported` for a graph that somebody else exported; as `rowMajor`
 */
export async function layerMajor(
  task: ExtractionTask,
  rows: readonly TodoRow[],
  folder: string,
): Promise<'done' | 'paused'> {
  for (let left = rows; ;) {
    const outcome = await attempt(task, left, folder)
    if (outcome === 'done' || outcome === 'paused') return outcome
    // Without it the parts are others, and begin again with what is not stored.
    left = left.filter((row) => row !== outcome.tooLong)
  }
}

/** @returns a row that does not fit into memory even alone, which has failed then */
async function attempt(
  task: ExtractionTask,
  rows: readonly TodoRow[],
  folder: string,
): Promise<'done' | 'paused' | { tooLong: TodoRow }> {
  const { runnable, facts } = task.model
  if (!(runnable instanceof BlockStack))
    throw new PatchbayError(
      'model.unsupported',
      'A graph that somebody else exported can not be run block by block.',
      {
        field: 'mode',
        next: 'Extract row-major, or open the checkpoint that it was exported from.',
      },
    )
  const parts = await partsOf(folder, rows, Math.min(PART_TOKENS, task.pace.most))
  const sizes = parts.map(({ rows: own, columns }) => own.length * columns * facts.dModel)
  await requireSpace(path.join(folder, 'stream'), ResidualSpill.bytesOf(sizes))
  const { fingerprint, precision, provider } = facts
  const identity = identityOf(parts, [fingerprint, precision, provider, facts.dModel].join(' '))
  const spill = await ResidualSpill.open({ folder, identity, sizes })
  const run = new LayerMajorRun(task, runnable, parts, spill)
  try {
    const outcome = await run.run()
    if (outcome === 'done') await spill.remove()
    return outcome
  } catch (error) {
    await task.storing.abandon()
    if (run.tooLong === null) throw error
    for (const row of run.tooLong.rows)
      task.onFailure(failureOf(row, tooLong(row.tokens.length, asExhausted(error))))
    return { tooLong: run.tooLong }
  } finally {
    await spill.close()
  }
}

/** A part with how far it is. */
interface Carried extends Part {
  /** Block whose input is there; −1 where it begins with tokens. */
  next: number
  /** The last block that something is missing of. */
  readonly last: number
}

class LayerMajorRun {
  /** The row that did not fit, once there is one. */
  tooLong: TodoRow | null = null
  readonly #blocks: number
  #done = 0
  #total = 0

  constructor(
    private readonly task: ExtractionTask,
    private readonly stack: BlockStack,
    private readonly parts: readonly Part[],
    private readonly spill: ResidualSpill,
  ) {
    this.#blocks = task.model.facts.layers
  }

  async run(): Promise<'done' | 'paused'> {
    const { storing } = this.task
    const stored: Promise<void>[] = []
    const carried: Carried[] = []
    for (const part of this.parts) carried.push(...(await this.#begin(part)))
    this.#total = carried.reduce((sum, { tokens, next, last }) => sum + tokens * (last - next + 1), 0)
    for (let block = -1; block <= this.#blocks; block++) {
      const due = carried.filter(({ next, last }) => next === block && last >= block)
      if (due.length === 0) continue
      if ((await this.#through(block, due)) === 'paused') return 'paused'
      await this.stack.onGraphs((graphs) => graphs.trim())
      await storing.flush()
      // What a block gave is stored before the streams that it was computed from are written over.
      stored.push(quiet(storing.stored()))
      if (stored.length >= TURNS - 1) await stored.shift()
    }
    await storing.settle()
    return 'done'
  }

  /** Where a part can go on: at the latest block whose input is there and from which on all that is missing is computed. */
  async #begin(part: Part): Promise<Carried[]> {
    const layers = this.task.plan.hooks
      .filter(({ name }) => part.rows.some(({ missing }) => missing.has(name)))
      .map(({ layer }) => layer)
    if (layers.length === 0) return []
    const first = Math.min(...layers)
    const last = Math.max(...layers)
    for (const block of await this.spill.blocksOf(part.index))
      if (block <= first && block <= this.#blocks && (await this.spill.read(part.index, block)) !== null)
        return [{ ...part, next: block, last }]
    return [{ ...part, next: -1, last }]
  }

  /** Carries parts through one block. Reading the next and writing the last go on while it computes. */
  async #through(block: number, due: readonly Carried[]): Promise<'done' | 'paused'> {
    const { storing, pause, signal, onProgress } = this.task
    const read = (part: Carried): Promise<Float32Array | null> =>
      block < 0 ? Promise.resolve(null) : quiet(this.spill.read(part.index, block))
    let writing = Promise.resolve()
    let ahead = read(due[0])
    try {
      for (const [i, part] of due.entries()) {
        throwIfCancelled(signal)
        if (pause.aborted) {
          await writing
          await storing.settle()
          return 'paused'
        }
        const stream = await ahead
        if (i + 1 < due.length) ahead = read(due[i + 1])
        const input = stream ?? (block < 0 ? null : await this.#again(part, block))
        const output = await this.#part(block, part, part.rows, input)
        await writing
        writing = quiet(this.#keep(part, block + 1, output))
        part.next = block + 1
        this.#done += part.tokens
        const what =
          block < 0 ? 'Embedding' : block < this.#blocks ? `Block ${block} of ${this.#blocks}` : 'Final norm'
        onProgress({ done: this.#done, total: this.#total, what: `${what}, ${i + 1} of ${due.length} parts` })
      }
      await writing
      return 'done'
    } finally {
      await Promise.allSettled([writing, ahead]) // files must not be closed under them
    }
  }

  async #keep(part: Carried, block: number, output: Float32Array): Promise<void> {
    if (block <= part.last) await this.spill.write(part.index, block, output)
    giveBack([output])
  }

  /** A stream that is not what was written: computed again from the tokens. */
  async #again({ rows, columns }: Part, block: number): Promise<Float32Array> {
    const { residual } = await this.stack.forward({
      start: { kind: 'tokens', rows: rows.map(({ tokens }) => tokens) },
      stopLayer: block,
      logits: 'none',
      signal: this.task.signal,
    })
    return widened(residual, columns).data
  }

  /**
   * One block for the rows of a part, or for halves of them where memory is short.
   * @param input [rows, columns, d_model]; null to begin with tokens
   * @returns the residual stream behind it
   */
  async #part(
    block: number,
    part: Part,
    rows: readonly TodoRow[],
    input: Float32Array | null,
  ): Promise<Float32Array> {
    try {
      return await this.#compute(block, part, rows, input)
    } catch (thrown) {
      const error = asExhausted(thrown)
      if (rows.length === 1) {
        this.tooLong ??= rows[0]
        throw error
      }
      const size = part.columns * this.task.model.facts.dModel
      const half = rows.length >> 1
      const out = new Float32Array(rows.length * size)
      for (const [from, to] of [
        [0, half],
        [half, rows.length],
      ]) {
        const own = input === null ? null : input.slice(from * size, to * size)
        out.set(await this.#part(block, part, rows.slice(from, to), own), from * size)
      }
      return out
    }
  }

  async #compute(
    block: number,
    { columns }: Part,
    rows: readonly TodoRow[],
    input: Float32Array | null,
  ): Promise<Float32Array> {
    const { model, plan, patterns, storing, signal } = this.task
    const hooks = plan.hooks.filter(
      ({ name, layer }) => layer === block && rows.some(({ missing }) => missing.has(name)),
    )
    const lengths = rows.map(({ tokens }) => tokens.length)
    const notes = noNotes((row, output) => this.task.onFailure(notNumbers(row, output)))
    const shape = [rows.length, columns, model.facts.dModel]
    const result = await runHooks(this.task, {
      hooks,
      encoding: {
        facts: model.facts,
        batch: rows,
        positions: new Positions(patterns),
        cast: plan.cast,
        to: storing,
        notes,
      },
      start:
        input === null
          ? { kind: 'tokens', rows: rows.map(({ tokens }) => tokens) }
          : { kind: 'residual', layer: block, residual: { shape, data: input }, lengths },
      stopLayer: block < this.#blocks ? block + 1 : undefined,
      again: true,
      signal,
    })
    const { data } = widened(result.residual, columns)
    // What is stored as it is may be a view of the stream that goes on.
    const own = notes.kept.has(data.buffer) ? data.slice() : data
    if (input !== null && input.buffer !== own.buffer && !notes.kept.has(input.buffer)) giveBack([input])
    return own
  }
}

/** A residual stream with as many columns as its part has, which half of its rows may not have. */
function widened({ shape, data }: Tensor, columns: number): Tensor {
  const [rows, own, width] = shape
  if (own === columns) return { shape, data }
  const out = new Float32Array(rows * columns * width)
  for (let row = 0; row < rows; row++)
    out.set(data.subarray(row * own * width, (row + 1) * own * width), row * columns * width)
  return { shape: [rows, columns, width], data: out }
}

/** Marks a promise as seen, so that a failure is thrown where it is awaited and not before. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
