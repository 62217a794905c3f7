/** Which entries somebody means, and their removal. */
import type { EntryId } from './entry'
import { readShard, rowsOf } from './shard-file'
import type { Writer, WriterParts } from './writer'

/** Entries for which all that is given holds. */
export interface Match {
  set?: string
  /** Fingerprint of the model, or its beginning. */
  model?: string
  /** Row key, or its beginning. */
  row?: string
  output?: string
}

export interface RemoveReport {
  entries: number
  /** Files that went, and files that were written again without the removed entries. */
  removed: number
  rewritten: number
}

/** Entries of a shard that match, by name. */
export async function matching(parts: WriterParts, id: string, match: Match): Promise<Map<string, EntryId>> {
  const file = parts.files.pathOf(id)
  const content = await readShard(file, id)
  const rows = match.model === undefined ? null : rowsOf(content, file)
  const { model = '', row = '', output } = match
  return new Map(
    [...content.entries].flatMap(([name, { id: entry }]) =>
      entry.row.startsWith(row) &&
      (output === undefined || entry.output === output) &&
      (rows === null || rows.get(entry.row)?.model.startsWith(model) === true)
        ? [[name, entry]]
        : [],
    ),
  )
}

/** Shards that may hold something that matches. */
export const candidates = ({ index }: WriterParts, { set }: Match) =>
  index.shards().filter((shard) => set === undefined || shard.set === set)

export async function removeEntries(parts: WriterParts, writer: Writer, match: Match): Promise<RemoveReport> {
  const report: RemoveReport = { entries: 0, removed: 0, rewritten: 0 }
  for (const { id, entries } of candidates(parts, match)) {
    const gone = await matching(parts, id, match)
    if (gone.size === 0) continue
    report.entries += gone.size
    if (gone.size === entries) {
      await writer.remove(id)
      report.removed++
      continue
    }
    const ids = new Set([...gone.values()].map(({ row, output, dtype }) => `${row} ${output} ${dtype}`))
    await writer.rewrite([id], ({ row, output, dtype }) => !ids.has(`${row} ${output} ${dtype}`))
    report.rewritten++
  }
  return report
}
