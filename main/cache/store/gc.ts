/** What is done now and then: what is damaged goes, small shards become large ones, and the quota is kept. */
import { namesIn } from './store-fs'
import { SHARD_BYTES, SHARD_ENTRIES, type Writer, type WriterParts } from './writer'
import { ShardFiles } from './shard-files'

export interface GarbageReport {
  /** Shards of which nothing could be read, and entries that were damaged in others. */
  damagedShards: number
  rewrittenShards: number
  joinedShards: number
  evictedShards: number
  /** That the store's files take less than before. */
  bytesFreed: number
}

/** Below this a shard is joined with others of its set. */
const SMALL = SHARD_BYTES / 4

/** @param folders that partial files of processes that died are removed from */
export async function collectGarbage(
  parts: WriterParts,
  writer: Writer,
  folders: readonly string[],
): Promise<GarbageReport> {
  const { index, quarantine, files, fs } = parts
  const before = await folderBytes(parts)
  await writer.sweep(folders)
  const live = new Set(index.shards().map(({ id }) => id))
  let damagedShards = 0
  let rewrittenShards = 0
  for (const name of await namesIn(fs, files.folder)) {
    const id = ShardFiles.idOf(name)
    if (id === null || !quarantine.holdsShard(id)) continue
    await writer.remove(id)
    damagedShards++
  }
  for (const id of quarantine.shards()) {
    if (live.has(id)) {
      await writer.rewrite([id], () => true)
      rewrittenShards++
    } else await quarantine.release(id)
  }
  let joinedShards = 0
  for (const [, ids] of smallBySet(parts)) {
    if (ids.length < 2) continue
    await writer.rewrite(ids, () => true)
    joinedShards += ids.length
  }
  const evictedShards = (await writer.makeRoom(0)).length
  return {
    damagedShards,
    rewrittenShards,
    joinedShards,
    evictedShards,
    bytesFreed: before - (await folderBytes(parts)),
  }
}

function smallBySet({ index }: WriterParts): Map<string, string[]> {
  const small = new Map<string, string[]>()
  for (const { id, set, bytes, entries } of index.shards())
    if (bytes < SMALL && entries < SHARD_ENTRIES / 4) small.set(set, [...(small.get(set) ?? []), id])
  return small
}

async function folderBytes({ files, fs }: WriterParts): Promise<number> {
  let bytes = 0
  for (const name of await namesIn(fs, files.folder)) bytes += (await fs.stat(`${files.folder}/${name}`)).size
  return bytes
}
