/**
 * A bundle: activations with the requests that they belong to, in one file for another machine. It is a shard of any size,
 * so any safetensors library reads it as it is; there are no paths in it and nothing is compressed, and what the header
 * promises is held against the file's size before anything is allocated.
 */
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../runtime/cancelled'
import { requireSpace } from '../../files/durable-file'
import { malformed } from '../../models/formats/malformed'
import { PositionalFile } from '../../models/formats/positional-file'
import type { RowRequest } from '../row-request'
import { entryKey } from './entry'
import { checkSetId, setId } from './labels'
import { readChecks, readRuns, type Place } from './read'
import { candidates, matching, type Match } from './remove'
import { writeShard, type CheckedBytes, type ShardEntry } from './shard'
import { contentOf, rowsOf } from './shard-file'
import type { VerifyOptions } from './verify'
import { groups, loadEntry, placesOf, type Writer, type WriterParts } from './writer'

export interface BundleReport {
  file: string
  entries: number
  rows: number
  bytes: number
}

export interface ImportReport {
  set: string
  stored: number
  present: number
}

/**
 * Writes all matching entries to one file, whole or not at all. Values are checked as they are copied.
 * @throws PatchbayError `input.invalid` where nothing matches (or too much for one header), `file.malformed` where an
 * entry is damaged, `disk.full`, `disk.failed`, `run.cancelled`
 */
export async function exportBundle(
  parts: WriterParts,
  file: string,
  match: Match,
  producer: string,
  { signal }: VerifyOptions = {},
): Promise<BundleReport> {
  await parts.index.refresh()
  const entries = new Map<string, ShardEntry>()
  const rows = new Map<string, RowRequest>()
  for (const { id } of candidates(parts, match)) {
    const names = [...(await matching(parts, id, match)).keys()].filter(
      (name) => !entries.has(name) && !parts.quarantine.holds(id, entryKey(name)),
    )
    if (names.length > 0) await collect(parts, id, names, entries, rows)
  }
  if (entries.size === 0)
    throw new PatchbayError('input.invalid', 'Nothing that is stored matches.', {
      next: 'See `patchbay cache ls` for what there is.',
    })
  const all = [...entries.values()]
  const bytes = all.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 4), 0)
  await requireSpace(file, bytes, parts.fs)
  const meta = { set: match.set ?? 'bundle', created: new Date().toISOString(), producer, rows }
  await writeShard(file, 'bundle', all, meta, { fs: parts.fs, signal })
  return { file, entries: entries.size, rows: rows.size, bytes: (await parts.fs.stat(file)).size }
}

async function collect(
  { files }: WriterParts,
  shard: string,
  names: readonly string[],
  entries: Map<string, ShardEntry>,
  rows: Map<string, RowRequest>,
): Promise<void> {
  await files.use(shard, async (source) => {
    const content = await contentOf(source, shard)
    const requests = rowsOf(content, source.path)
    for (const name of names) {
      const entry = content.entries.get(name)
      const request = entry === undefined ? undefined : requests.get(entry.id.row)
      if (entry === undefined || request === undefined) continue
      const { values, scale } = placesOf(entry.located)
      const later = async (place: Place): Promise<CheckedBytes> => ({
        bytes: () => files.use(shard, (file) => readRuns(file, place, [{ start: 0, length: place.total }])),
        checks: await readChecks(source, place),
      })
      const { shape, storage, error } = entry.located
      entries.set(name, {
        name,
        shape,
        storage,
        values: await later(values),
        scale: scale === null ? null : await later(scale),
        error,
      })
      rows.set(entry.id.row, request)
    }
  })
}

/**
 * Stores what a bundle holds and is not there yet. All of it is read and checked once before the first entry is stored.
 * @param set to store it as; the bundle's own name for it unless given
 * @throws PatchbayError `file.malformed` naming what is wrong with it, `file.missing`, `disk.full`, `disk.failed`, `run.cancelled`
 */
export async function importBundle(
  { index }: WriterParts,
  writer: Writer,
  file: string,
  set: string | undefined,
  { signal, onProgress }: VerifyOptions = {},
): Promise<ImportReport> {
  const source = await PositionalFile.open(file)
  try {
    const content = await contentOf(source, 'bundle')
    const rows = rowsOf(content, source.path)
    if (!setId.safeParse(content.set).success)
      throw malformed(file, 'has no name for what it holds', { field: 'set' })
    const target = checkSetId(set ?? content.set)
    const names = [...content.entries.keys()]
    for (const name of names) {
      throwIfCancelled(signal)
      await loadEntry(source, content, name)
    }
    const missing: string[] = []
    for (const name of names) if ((await index.findKnown(entryKey(name))) === null) missing.push(name)
    const sizeOf = (name: string): number =>
      (content.entries.get(name)?.located.shape ?? []).reduce((product, n) => product * n, 4)
    const meta = { set: target, created: content.created, producer: content.producer }
    let done = 0
    for (const group of groups(missing, sizeOf)) {
      const entries: ShardEntry[] = []
      for (const name of group) entries.push(await loadEntry(source, content, name))
      const used = new Set(group.map((name) => name.slice(0, 64)))
      await writer.write({ entries, rows: new Map([...rows].filter(([key]) => used.has(key))) }, meta, {
        signal,
      })
      done += group.length
      onProgress?.(done, missing.length)
    }
    return { set: target, stored: missing.length, present: names.length - missing.length }
  } finally {
    await source.close()
  }
}
