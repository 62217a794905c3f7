/** Extraction batch by batch through the whole model, while what the batch before gave is stored. */
import { PatchbayError } from '../../preload/errors'
import type { Tensor } from '../../preload/tensor'
import { BlockStack } from '../runtime'
import { throwIfCancelled } from '../runtime/cancelled'
import type { ForwardRequest, ForwardResult } from '../runtime'
import { encodeHook, noNotes, Positions, type Encoding } from './entries'
import type { PlannedHook } from './plan'
import { batchFrom, tokensOf, type TodoRow } from './row'
import { asExhausted, failureOf, notNumbers, tooLong, type ExtractionTask } from './task'

/**
 * Runs rows, the longest first. Returns when everything that was computed is on the disk.
 * @throws PatchbayError `run.cancelled`, `disk.full`, `disk.failed`, `run.failed`; what was stored before stays
 */
export async function rowMajor(task: ExtractionTask, rows: readonly TodoRow[]): Promise<'done' | 'paused'> {
  const { storing, pace, pause, signal } = task
  const total = tokensOf(rows)
  let done = 0
  for (let first = 0; first < rows.length;) {
    throwIfCancelled(signal)
    if (pause.aborted) {
      await storing.settle()
      return 'paused'
    }
    const batch = rows.slice(first, first + batchFrom(rows, first, pace.tokens))
    const padded = batch.length * Math.max(...batch.map(({ tokens }) => tokens.length))
    const start = performance.now()
    if (await runBatch(task, batch)) {
      first += batch.length
      done += tokensOf(batch)
      pace.note(padded, (performance.now() - start) / 1000)
    } else if (batch.length > 1) pace.shrink(padded)
    else first++
    task.onProgress({ done, total, what: `${first} of ${rows.length} rows` })
  }
  await storing.settle()
  return 'done'
}

/** @returns false where there was not enough memory for it; a single row has failed then */
async function runBatch(task: ExtractionTask, batch: readonly TodoRow[]): Promise<boolean> {
  const { model, patterns, storing, signal } = task
  const hooks = task.plan.hooks.filter(({ name }) => batch.some(({ missing }) => missing.has(name)))
  const notes = noNotes((row, output) => task.onFailure(notNumbers(row, output)))
  const positions = new Positions(patterns)
  const encoding = { facts: model.facts, batch, positions, cast: task.plan.cast, to: storing, notes }
  try {
    await runHooks(task, {
      hooks,
      encoding,
      start: { kind: 'tokens', rows: batch.map(({ tokens }) => tokens) },
      signal,
    })
  } catch (thrown) {
    const error = asExhausted(thrown)
    const [{ rows, tokens }] = batch
    if (batch.length === 1)
      for (const row of rows) task.onFailure(failureOf(row, tooLong(tokens.length, error)))
    return false
  }
  return true
}

interface HooksRun extends Pick<ForwardRequest, 'start' | 'stopLayer' | 'again' | 'signal'> {
  readonly hooks: readonly PlannedHook[]
  readonly encoding: Encoding
}

/** Runs a batch; what its hook points give is encoded as soon as it is there. */
export async function runHooks(
  { model: { runnable, facts } }: Pick<ExtractionTask, 'model'>,
  { hooks, encoding, ...run }: HooksRun,
): Promise<ForwardResult> {
  const byName = new Map(hooks.map((hook) => [hook.name, hook]))
  const encode = async (name: string, capture: Tensor): Promise<{ kept: boolean }> => {
    const hook = byName.get(name)
    if (hook === undefined)
      throw new PatchbayError('internal', `The run captured ${name}, which is not asked for.`)
    await encodeHook(encoding, hook, capture)
    byName.delete(name)
    return { kept: encoding.notes.kept.has(capture.data.buffer) }
  }
  const last = hooks.reduce((most, { layer }) => Math.max(most, layer), -1)
  const result = await runnable.forward({
    // Blocks behind the last hook point compute nothing that is asked for.
    stopLayer: runnable instanceof BlockStack && last < facts.layers ? last + 1 : undefined,
    ...run,
    captures: hooks.map(({ name }) => name),
    onCapture: encode,
    logits: 'none',
  })
  // A graph that runs as a whole gives all at the end.
  for (const [name, capture] of result.captures) await encode(name, capture)
  const [lacking] = byName.keys()
  if (lacking !== undefined) throw new PatchbayError('internal', `The run did not return ${lacking}.`)
  return result
}
