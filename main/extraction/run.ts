/** An extraction from a collection's rows to its values: what is missing is computed, and nothing else. */
import type { RowFailure } from '../../preload/datasets'
import { PatchbayError } from '../../preload/errors'
import type { ExtractJob } from '../../preload/extraction'
import type { ActivationStore } from '../cache/store/store'
import { valuesKey } from '../collections/collection'
import { rowsTogether } from '../collections/look-up'
import { setOf } from '../collections/names'
import type { StoredRow } from '../collections/schema'
import type { CollectionWriter } from '../collections/writer'
import { inBatches } from '../datasets/prepare/batches'
import { throwIfCancelled } from '../runtime/cancelled'
import { withRoomyHeap } from '../runtime/heap'
import type { Patterns } from './entries'
import { Failures } from './failures'
import { layerMajor } from './layer-major'
import { activationBytes, tokensWithin } from './memory'
import { Pace } from './pace'
import { patternsOf } from './patterns'
import type { ExtractionPlan } from './plan'
import type { TodoRow } from './row'
import { rowMajor } from './row-major'
import { requireRoom, roomIn, SizeSum } from './size'
import { Storing } from './storing'
import type { ExtractionModel } from './subject'
import { failureOf, type ExtractionTask } from './task'

export interface ExtractionRun {
  readonly model: ExtractionModel
  readonly plan: ExtractionPlan
  readonly writer: CollectionWriter
  readonly store: ActivationStore
  readonly mode: Exclude<ExtractJob['mode'], 'auto'>
  /** Bytes that the process may take; null for what is free. */
  readonly memory: number | null
  /** Bytes of weights that stay in memory. */
  readonly weights: number
  /** Tokens of a batch at most; measured unless given. */
  readonly tokens?: number
  /** Bytes of values that are put together; see `Storing`. */
  readonly together?: number
  /** Folder for what is only needed until it is done. */
  readonly folder: string
  readonly signal: AbortSignal
  readonly pause: AbortSignal
  readonly onProgress: (progress: ExtractionProgress) => void
}

export interface ExtractionProgress {
  readonly done: number
  readonly total: number
  readonly what: string
  readonly tokensPerSecond: number
}

export interface ExtractionReport {
  readonly state: 'done' | 'paused'
  /** Tokens that were computed in this process, and how fast. */
  readonly tokens: number
  readonly tokensPerSecond: number
  /** That the store grew by. */
  readonly bytes: number
  /** Rows that could not be used or computed, or have values that are not numbers. */
  readonly failures: number
}

/** Bytes of values that are put together where memory is short. */
const LITTLE_BYTES = 8e6

const CHECKING = 'Checking what is stored'

/** Values that were removed again while others were stored are computed once more, not for ever. */
const ROUNDS = 2

/**
 * Computes what a collection lacks. When it returns `done`, everything is on the disk, and the collection says so.
 * @throws PatchbayError `disk.full` before anything runs where it will not fit; `run.cancelled`, `disk.full`, `disk.failed`,
 *   `run.failed`, `model.unsupported`; what was stored stays, and the same call goes on from there
 */
export function runExtraction(run: ExtractionRun): Promise<ExtractionReport> {
  return run.memory === null ? withRoomyHeap(() => extract(run)) : extract(run)
}

async function extract(run: ExtractionRun): Promise<ExtractionReport> {
  const { writer, plan, store, signal, pause } = run
  const { collection } = writer
  const patterns = patternsOf(plan)
  for (const pattern of patterns.values()) pattern.learn(collection.tokens.values())
  const failed = await Failures.open(run.folder)
  const onFailure = (failure: RowFailure): void => failed.add(failure)
  // What is said of values is on the disk before they are: whoever goes on does not look at them again.
  const behindFailures: Pick<ActivationStore, 'put'> = {
    put: async (...args) => {
      await failed.kept()
      return store.put(...args)
    },
  }
  let tokens = 0
  let bytes = 0
  let seconds = 0
  const tokensPerSecond = (): number => (seconds === 0 ? 0 : tokens / seconds)
  let rows: TodoRow[]
  for (let round = 0; ; round++) {
    const told = (done: number, total: number): void =>
      run.onProgress({
        done,
        total,
        what: round === 0 ? 'Looking for what is stored already' : CHECKING,
        tokensPerSecond: tokensPerSecond(),
      })
    const found = await rowsOf(run, patterns, told)
    const { size } = found
    rows = found.rows
    const left = rows.filter(
      ({ missing, rows: same }) => missing.size > 0 && !failed.isWithoutValues(same[0].source),
    )
    if (left.length === 0) break
    if (round === ROUNDS) {
      for (const { rows: same } of left) for (const row of same) onFailure(failureOf(row, removed()))
      break
    }
    requireRoom(size.bytes, await roomIn(store))
    const byBlock = run.mode === 'layer-major'
    const together = run.together ?? (byBlock ? LITTLE_BYTES : undefined)
    const storing = new Storing({ store: behindFailures, set: setOf(collection.id), signal, together })
    const total = left.reduce((sum, row) => sum + row.tokens.length, 0)
    let done = 0
    const start = performance.now()
    const elapsed = (): number => (performance.now() - start) / 1000
    const longest = Math.max(...left.map((row) => row.tokens.length))
    const room = activationBytes(run.memory, run.weights)
    const task: ExtractionTask = {
      model: run.model,
      plan,
      patterns,
      storing,
      pace: new Pace(run.tokens ?? tokensWithin(room, run.model, plan, longest), run.tokens),
      signal,
      pause,
      onFailure,
      onProgress: (progress) => {
        done = (progress.done / progress.total) * total
        run.onProgress({ ...progress, tokensPerSecond: done / elapsed() })
      },
    }
    let state: 'done' | 'paused'
    try {
      state = byBlock ? await layerMajor(task, rows, run.folder) : await rowMajor(task, left)
    } finally {
      await storing.abandon()
    }
    await failed.kept()
    tokens += state === 'paused' ? done : total
    bytes += storing.bytes
    seconds += elapsed()
    if (state === 'paused')
      return { state, tokens, tokensPerSecond: tokensPerSecond(), bytes, failures: failed.size }
  }
  for (const failure of failed.all) writer.fail(failure)
  const stored = rows.filter(({ rows: same }) => !failed.isWithoutValues(same[0].source))
  await noteErrors(run, stored, (done, total) =>
    run.onProgress({ done, total, what: CHECKING, tokensPerSecond: tokensPerSecond() }),
  )
  await writer.complete()
  await failed.kept()
  const failures = collection.manifest.failures.length + failed.size
  return { state: 'done', tokens, tokensPerSecond: tokensPerSecond(), bytes, failures }
}

const removed = (): PatchbayError =>
  new PatchbayError('disk.full', 'The row’s values were removed again to make room for others.', {
    next: 'Allow the activation store more (patchbay cache gc --quota), and extract again.',
  })

/** Told of how many rows of how many were looked up. */
type Told = (done: number, total: number) => void

/** Rows with equal tokens together, the longest first (what does not fit shows at once), with what is missing of them. */
async function rowsOf(
  { writer: { collection }, plan, store, signal }: ExtractionRun,
  patterns: Patterns,
  told: Told,
): Promise<{ rows: TodoRow[]; size: SizeSum }> {
  const groups = new Map<
    string,
    { rows: StoredRow[]; tokens: readonly number[]; missing: ReadonlySet<string> }
  >()
  const size = new SizeSum(plan, patterns, store)
  let done = 0
  for await (const some of inBatches(collection.rows(), { most: size.rowsTogether })) {
    throwIfCancelled(signal)
    for (const [i, missing] of (await size.add(some, signal)).entries()) {
      const row = some[i]
      const group = groups.get(row.key)
      if (group === undefined) groups.set(row.key, { rows: [row], tokens: row.tokens, missing })
      else {
        group.rows.push(row)
        if (group.missing !== missing) group.missing = new Set([...group.missing, ...missing])
      }
    }
    told((done += some.length), collection.length)
  }
  return { rows: [...groups.values()].sort((a, b) => b.tokens.length - a.tokens.length), size }
}

/** Reads back with what error the values of rows were stored. */
async function noteErrors(
  { writer, plan, signal }: ExtractionRun,
  rows: readonly TodoRow[],
  told: Told,
): Promise<void> {
  const total = rows.reduce((sum, { rows: same }) => sum + same.length, 0)
  let done = 0
  let waiting: StoredRow[] = []
  const noteWaiting = async (): Promise<void> => {
    await writer.noteErrors(waiting, signal)
    waiting = []
    told(done, total)
  }
  told(done, total)
  const most = rowsTogether(plan.outputs.length)
  for (const { rows: same } of rows) {
    // Of rows with the same entries one says it all.
    waiting.push(...new Map(same.map((row) => [valuesKey(row), row])).values())
    done += same.length
    if (waiting.length >= most) await noteWaiting()
  }
  await noteWaiting()
}
