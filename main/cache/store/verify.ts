/** Reads everything that is stored and says what is not as it was written. */
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../runtime/cancelled'
import { entryKey } from './entry'
import { readLabels } from './labels'
import { readRuns } from './read'
import { contentOf, isNewer, rowsOf } from './shard-file'
import type { StorePaths } from './paths'
import { readConfig } from './config'
import { Table } from './table'
import { placesOf, type WriterParts } from './writer'

export interface Damage {
  /** File below the store's folder. */
  file: string
  /** The entry; null where the whole file is affected. */
  entry: string | null
  problem: string
}

export interface VerifyReport {
  shards: number
  entries: number
  bytes: number
  /** Set aside now (or before, where nothing was removed yet). */
  damaged: Damage[]
}

export interface VerifyOptions {
  signal?: AbortSignal
  onProgress?: (done: number, total: number) => void
}

/** What is read at once, in bytes (whole chunks). */
const PIECE = 4 << 20

/**
 * Checks every byte of the store: shards with their tables and rows, the index, labels and settings. Damaged entries are
 * set aside. Works beside readers and a writer.
 */
export async function verifyStore(
  parts: WriterParts,
  paths: StorePaths,
  { signal, onProgress }: VerifyOptions = {},
): Promise<VerifyReport> {
  const { index, files, quarantine, fs } = parts
  const report: VerifyReport = { shards: 0, entries: 0, bytes: 0, damaged: [] }
  const before = quarantine.shards()
  await index.refresh()
  const shards = index.shards()
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0)
  for (const { id } of shards) {
    throwIfCancelled(signal)
    files.forget(id) // as it lies there now, not as it was when it was opened
    try {
      await files.use(id, async (file) => {
        const content = await contentOf(file, id)
        rowsOf(content, file.path)
        report.bytes += content.bytes
        report.shards++
        for (const [name, { located }] of content.entries) {
          throwIfCancelled(signal)
          report.entries++
          const { values, scale } = placesOf(located)
          try {
            for (const place of scale === null ? [values] : [values, scale])
              for (let start = 0; start < place.total; start += PIECE)
                await readRuns(file, place, [{ start, length: Math.min(PIECE, place.total - start) }])
          } catch (error) {
            await setAside(name, error)
          }
        }
      })
    } catch (error) {
      await setAside(null, error)
    }
    onProgress?.(report.bytes, total)

    async function setAside(entry: string | null, error: unknown): Promise<void> {
      if (!(error instanceof PatchbayError)) throw error
      if (error.code === 'file.missing') return // evicted meanwhile
      report.damaged.push({ file: `shards/${id}.safetensors`, entry, problem: error.message })
      if (error.code === 'file.malformed')
        await quarantine.add(id, entry === null ? null : entryKey(entry), error.message)
    }
  }
  for (const id of quarantine.shards())
    if (quarantine.holdsShard(id) && !report.damaged.some(({ file }) => file.includes(id)))
      report.damaged.push({
        file: `shards/${id}.safetensors`,
        entry: null,
        problem: before.has(id) ? 'was set aside before' : 'its header is damaged',
      })
  const others: [string, () => Promise<unknown>][] = [
    ['index/entries.table', () => readTable(paths.table)],
    ['labels.json', () => readLabels(paths.labels, fs)],
    ['store.json', () => readConfig(paths.config, fs)],
  ]
  for (const [file, read] of others)
    try {
      await read()
    } catch (error) {
      if (!(error instanceof PatchbayError) || isNewer(error)) throw error
      report.damaged.push({ file, entry: null, problem: error.message })
    }
  return report
}

/** Reads the index from its first byte to its last. */
async function readTable(file: string): Promise<void> {
  let table: Table
  try {
    table = await Table.open(file)
  } catch (error) {
    if (error instanceof PatchbayError && error.code === 'file.missing') return
    throw error
  }
  try {
    await table.check()
  } finally {
    await table.close()
  }
}
