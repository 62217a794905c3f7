/** What an extraction would take: the data set is read and tokenised, the model is not run. */
import type { RowFailure } from '../../preload/datasets'
import { asPatchbayError, toWire } from '../../preload/errors'
import type { ExtractForecast, ExtractJob } from '../../preload/extraction'
import { rowKey } from '../cache/row-request'
import type { ActivationStore } from '../cache/store/store'
import { ownRanges } from '../collections/create'
import type { StoredRow } from '../collections/schema'
import { prepareRows, type PreparedDataRow, type RowEncoder } from '../datasets'
import type { PresetVectors } from './directions'
import { Positions } from './entries'
import { chooseMode } from './mode'
import { patternsOf } from './patterns'
import { ExtractionPlan } from './plan'
import { gigabytes, roomIn, SizeSum } from './size'
import { plainRequest, type ExtractionModel } from './subject'

export interface ForecastOptions {
  readonly presetVectors: PresetVectors
  /** Null where it can not be opened. */
  readonly store: ActivationStore | null
  readonly signal?: AbortSignal
  /** Rows read so far. */
  readonly onRows?: (done: number) => void
}

/** @throws PatchbayError as `ExtractionPlan.create` and `prepareRows` do */
export async function forecastExtraction(
  model: ExtractionModel & RowEncoder,
  { dataset, outputs, mode }: Pick<ExtractJob, 'dataset' | 'outputs' | 'mode'>,
  { presetVectors, store, signal, onRows }: ForecastOptions,
): Promise<ExtractForecast> {
  const chosen = chooseMode(model, mode)
  const plan = await ExtractionPlan.create(model, outputs, presetVectors)
  try {
    const patterns = patternsOf(plan)
    const size = new SizeSum(plan, patterns, store)
    const failures: RowFailure[] = []
    const lengths = { rows: 0, tokens: 0, longest: 0 }
    let duplicates = 0
    let read = 0
    let waiting: StoredRow[] = []
    const addWaiting = async (): Promise<void> => {
      await size.add(waiting, signal)
      waiting = []
    }
    for await (const item of prepareRows(dataset, model, { signal })) {
      onRows?.(++read)
      if (item.kind === 'duplicate') duplicates++
      if (item.kind === 'failure') failures.push(item.failure)
      if (item.kind !== 'row') continue
      const row = storedOf(model, item.row)
      try {
        for (const pattern of patterns.values()) pattern.learn(item.row.tokens)
        const positions = new Positions(patterns)
        for (const { groups } of plan.hooks) for (const group of groups) positions.of(group, row)
      } catch (error) {
        failures.push({ row: row.source, error: toWire(asPatchbayError(error)) })
        continue
      }
      waiting.push(row)
      if (waiting.length >= size.rowsTogether) await addWaiting()
      lengths.rows++
      lengths.tokens += row.tokens.length
      lengths.longest = Math.max(lengths.longest, row.tokens.length)
    }
    await addWaiting()
    const room = store === null ? null : await roomIn(store)
    const free = room === null ? 0 : Math.floor(Math.min(room.free, Number.MAX_SAFE_INTEGER))
    const notes = [chosen.note]
    if (room === null) notes.push('The activation store can not be opened, so nothing can be stored.')
    else if (size.bytes > free)
      notes.push(`It needs ${gigabytes(size.bytes)} GB, but there is room for ${gigabytes(free)} GB.`)
    else if (size.bytes > free - room.evictable)
      notes.push('Stored activations that were not used for long and are not pinned will be removed for it.')
    return {
      ...lengths,
      failures,
      duplicates,
      bytes: Math.ceil(size.bytes),
      present: size.present,
      free,
      mode: chosen.mode,
      notes,
    }
  } finally {
    await plan.release()
  }
}

/** A prepared row as a collection has it. */
function storedOf({ facts }: ExtractionModel, prepared: PreparedDataRow): StoredRow {
  const { row: source, label, text, span, truncated, cells } = prepared
  const tokens = prepared.tokens.map(({ id }) => id)
  const key = rowKey(plainRequest(facts, tokens))
  return { source, label, text, tokens, own: ownRanges(prepared.tokens), span, truncated, cells, key }
}
