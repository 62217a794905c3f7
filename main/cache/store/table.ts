/**
 * The index of many shards in one file: fixed-size records sorted by key, in blocks with a checksum each, then the first
 * key of every block. Opening reads what is behind the blocks; a look-up reads one block. The file is written whole or
 * not at all and never changed. It holds nothing that the shards do not say: where it is lost or damaged it is made again.
 *
 * blocks: BLOCK records + crc u32 | first keys + crc u32 | description (JSON) | its length u32 | its crc u32 | magic 8 B
 */
import { z } from 'zod'
import { writeDurably, type DurableOptions } from '../../files/durable-file'
import { malformed } from '../../models/formats/malformed'
import { PositionalFile } from '../../models/formats/positional-file'
import { ByteLru } from '../byte-lru'
import { crc32 } from './checksum'
import { entryStorages, KEY_BYTES, MAX_RANK, type Located } from './entry'
import { newerVersion } from './shard-file'

const MAGIC = 'PBINDEX1'
const VERSION = 1
const TRAILER = 16
const RECORD = 80
/** Records of a block. */
const BLOCK = 128
const BLOCK_BYTES = BLOCK * RECORD
/** Blocks kept in memory, in bytes. */
const KEPT_BLOCKS = 4 << 20
/** Blocks that are written at once. */
const WRITTEN_BLOCKS = 64

/** What a shard is, without its entries. */
export const shardSummary = z.object({
  id: z.string(),
  set: z.string(),
  entries: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
})
export type ShardSummary = z.infer<typeof shardSummary>

/** `indexed`: all entries of the shard are in this table. */
const tableShard = shardSummary.extend({ indexed: z.boolean() })

const tableDescription = z.object({
  version: z.literal(VERSION),
  records: z.number().int().nonnegative(),
  shards: z.array(tableShard),
})

function parseDescription(path: string, bytes: Uint8Array): z.infer<typeof tableDescription> {
  const json: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
  const head = z.object({ version: z.number() }).safeParse(json)
  if (head.success && head.data.version > VERSION) throw newerVersion(path, 'The index', head.data.version)
  const parsed = tableDescription.safeParse(json)
  if (!parsed.success)
    throw malformed(path, 'its description does not fit its schema', { cause: parsed.error })
  return parsed.data
}

/** A key in hex and where its entry lies. */
export type IndexRecord = readonly [string, Located]

export class Table {
  private readonly blocks = new ByteLru<Buffer>(KEPT_BLOCKS, (block) => block.length)

  private constructor(
    private readonly file: PositionalFile,
    private readonly shards: readonly z.infer<typeof tableShard>[],
    readonly records: number,
    private readonly firstKeys: Buffer,
  ) {}

  /** @throws PatchbayError `file.missing`, `file.malformed`; see `isNewer` */
  static async open(path: string): Promise<Table> {
    const file = await PositionalFile.open(path)
    try {
      const trailer = Buffer.from(await file.read(Math.max(0, file.size - TRAILER), TRAILER))
      if (trailer.toString('latin1', 8) !== MAGIC) throw malformed(path, 'is no index')
      const length = trailer.readUInt32LE(0)
      const bytes = await file.read(Math.max(0, file.size - TRAILER - length), length)
      if (crc32(bytes) !== trailer.readUInt32LE(4)) throw malformed(path, 'its description is damaged')
      const { records, shards } = parseDescription(path, bytes)
      const blocks = Math.ceil(records / BLOCK)
      const keysAt = records * RECORD + 4 * blocks
      if (file.size !== keysAt + blocks * KEY_BYTES + 4 + length + TRAILER)
        throw malformed(path, 'has not the size that it should have')
      const keys = Buffer.from(await file.read(keysAt, blocks * KEY_BYTES + 4))
      const firstKeys = keys.subarray(0, blocks * KEY_BYTES)
      if (crc32(firstKeys) !== keys.readUInt32LE(firstKeys.length))
        throw malformed(path, 'the keys are damaged')
      return new Table(file, shards, records, firstKeys)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Shards of which every entry is in here. */
  get covered(): ShardSummary[] {
    return this.shards.filter(({ indexed }) => indexed)
  }

  /**
   * Where the entries of that key lie: none, one, or more where it was stored again.
   * @throws PatchbayError `file.malformed` for a damaged block
   */
  async find(key: string): Promise<Located[]> {
    const wanted = Buffer.from(key, 'hex')
    const found: Located[] = []
    // A key may stand at the end of one block and the beginning of the next.
    for (let index = this.blockBefore(wanted); index < this.blockCount; index++) {
      if (this.compare(index, wanted) > 0) break
      const block = await this.block(index)
      for (let at = firstRecord(block, wanted); at < block.length; at += RECORD) {
        if (wanted.compare(block, at, at + KEY_BYTES) !== 0) return found
        found.push(this.decode(block, at))
      }
    }
    return found
  }

  /** All records, in order of their keys. */
  async *all(): AsyncGenerator<IndexRecord> {
    for (let index = 0; index < this.blockCount; index++) {
      const block = await this.block(index)
      for (let at = 0; at < block.length; at += RECORD)
        yield [block.toString('hex', at, at + KEY_BYTES), this.decode(block, at)]
    }
  }

  /** Reads every block. @throws PatchbayError `file.malformed` */
  async check(): Promise<void> {
    for (let index = 0; index < this.blockCount; index++) await this.block(index)
  }

  close(): Promise<void> {
    return this.file.close()
  }

  private get blockCount(): number {
    return this.firstKeys.length / KEY_BYTES
  }

  /** The last block whose first key is below the wanted one; 0 where there is none. */
  private blockBefore(wanted: Buffer): number {
    let low = 0
    let high = this.blockCount
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.compare(middle, wanted) < 0) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  private compare(block: number, wanted: Buffer): number {
    return this.firstKeys.compare(wanted, 0, KEY_BYTES, block * KEY_BYTES, (block + 1) * KEY_BYTES)
  }

  private async block(index: number): Promise<Buffer> {
    const known = this.blocks.get(String(index))
    if (known !== undefined) return known
    const bytes = Math.min(BLOCK, this.records - index * BLOCK) * RECORD
    const at = index * (BLOCK_BYTES + 4)
    const read = Buffer.from((await this.file.read(at, bytes + 4)).buffer)
    const block = read.subarray(0, bytes)
    if (crc32(block) !== read.readUInt32LE(bytes))
      throw malformed(this.file.path, 'a block of the index is damaged', { offset: at })
    this.blocks.set(String(index), block)
    return block
  }

  private decode(block: Buffer, at: number): Located {
    const rank = block.readUInt8(at + 21)
    const scaleAt = block.readDoubleLE(at + 56)
    return {
      shard: this.shards[block.readUInt32LE(at + 16)].id,
      storage: entryStorages[block.readUInt8(at + 20)],
      shape: Array.from({ length: rank }, (_, axis) => block.readUInt32LE(at + 24 + 4 * axis)),
      offset: block.readDoubleLE(at + 40),
      checks: block.readDoubleLE(at + 48),
      scale: scaleAt === 0 ? null : { offset: scaleAt, checks: block.readDoubleLE(at + 64) },
      error: { max: block.readFloatLE(at + 72), relative: block.readFloatLE(at + 76) },
    }
  }
}

/** Offset of the first record of a block whose key is not below the wanted one. */
function firstRecord(block: Buffer, wanted: Buffer): number {
  let low = 0
  let high = block.length / RECORD
  while (low < high) {
    const middle = (low + high) >> 1
    if (wanted.compare(block, middle * RECORD, middle * RECORD + KEY_BYTES) > 0) low = middle + 1
    else high = middle
  }
  return low * RECORD
}

/**
 * Writes an index, whole or not at all.
 * @param records sorted by key; those of other shards than `shards` are left out
 */
export async function writeTable(
  path: string,
  shards: readonly ShardSummary[],
  records: AsyncIterable<IndexRecord>,
  durable: DurableOptions = {},
): Promise<void> {
  const numbers = new Map(shards.map(({ id }, i) => [id, i]))
  const counts = new Uint32Array(shards.length)
  await writeDurably(
    path,
    async (append) => {
      const keys: Buffer[] = []
      let waiting: Buffer[] = []
      let block = Buffer.alloc(BLOCK_BYTES)
      let used = 0
      let count = 0
      const end = (): void => {
        const body = block.subarray(0, used)
        keys.push(Buffer.from(body.subarray(0, KEY_BYTES)))
        waiting.push(body, uint32s(crc32(body)))
        block = Buffer.alloc(BLOCK_BYTES)
        used = 0
      }
      for await (const [key, located] of records) {
        const shard = numbers.get(located.shard)
        if (shard === undefined) continue
        encode(block, used, key, located, shard)
        used += RECORD
        count++
        counts[shard]++
        if (used === BLOCK_BYTES) end()
        if (waiting.length < 2 * WRITTEN_BLOCKS) continue
        await append(Buffer.concat(waiting))
        waiting = []
      }
      if (used > 0) end()
      const firstKeys = Buffer.concat(keys)
      const described = shards.map((shard, i) => ({ ...shard, indexed: counts[i] === shard.entries }))
      const description = Buffer.from(JSON.stringify({ version: VERSION, records: count, shards: described }))
      const trailer = [uint32s(description.length, crc32(description)), Buffer.from(MAGIC, 'latin1')]
      await append(Buffer.concat([...waiting, firstKeys, uint32s(crc32(firstKeys)), description, ...trailer]))
    },
    durable,
  )
}

/** Numbers as four bytes each, little-endian. */
function uint32s(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, i) => bytes.writeUInt32LE(value, 4 * i))
  return bytes
}

function encode(block: Buffer, at: number, key: string, located: Located, shard: number): void {
  const { storage, shape, offset, checks, scale, error } = located
  block.write(key, at, KEY_BYTES, 'hex')
  block.writeUInt32LE(shard, at + 16)
  block.writeUInt8(entryStorages.indexOf(storage), at + 20)
  block.writeUInt8(shape.length, at + 21)
  for (let axis = 0; axis < Math.min(MAX_RANK, shape.length); axis++)
    block.writeUInt32LE(shape[axis], at + 24 + 4 * axis)
  block.writeDoubleLE(offset, at + 40)
  block.writeDoubleLE(checks, at + 48)
  block.writeDoubleLE(scale?.offset ?? 0, at + 56)
  block.writeDoubleLE(scale?.checks ?? 0, at + 64)
  block.writeFloatLE(error.max, at + 72)
  block.writeFloatLE(error.relative, at + 76)
}
