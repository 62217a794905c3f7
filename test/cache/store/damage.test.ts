import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { writeSealed } from '../../../main/cache/store/sealed-json'
import { ActivationStore } from '../../../main/cache/store/store'
import { realFs } from '../../../main/cache/store/store-fs'
import { encodeSafetensors } from '../../../main/models/formats/safetensors'
import type { PatchbayError } from '../../../preload/errors'
import { idOf, item, openStore, row, scratch, shardFiles, unsynced } from './fixtures'

describe('damage', () => {
  const wide = (dtype: 'float32' | 'int8') =>
    item(row(1, 2, 3), `wide ${dtype}`, { shape: [3, 20_000], dtype })

  it('in a value is found by its checksum, set aside and gone; the rest of the shard is still there', async () => {
    const root = scratch()
    const damage: PatchbayError[] = []
    const store = await openStore(root, { onDamage: (error) => damage.push(error) })
    const [good, bad] = [item(row(1, 2), 'good'), wide('float32')]
    await store.put([good, bad], { set: 'job' })
    const located = await store.find(idOf(bad))
    const [file] = shardFiles(root)
    const bytes = readFileSync(file)
    bytes[(located?.offset ?? 0) + 100_000] ^= 1
    writeFileSync(file, bytes)
    // A slice elsewhere touches only its own chunks, and is right.
    expect((await store.read(idOf(bad), [[0, 1]]))?.data).toEqual(bad.data.subarray(0, 20_000))
    expect(await store.read(idOf(bad), [[1, 2]])).toBeNull()
    expect(damage).toMatchObject([{ code: 'file.malformed', field: 'values' }])
    expect(await store.has([idOf(bad), idOf(good)])).toEqual([false, true])
    expect(await (await openStore(root)).read(idOf(bad))).toBeNull()
    expect((await store.read(idOf(good)))?.data).toEqual(good.data)
    // Computed again, it is stored again, and after gc nothing of the damage is left.
    await store.put([bad], { set: 'job' })
    expect((await store.read(idOf(bad)))?.data).toEqual(bad.data)
    await store.gc()
    expect(readdirSync(path.join(root, 'quarantine'))).toEqual([])
    expect((await store.verify()).damaged).toEqual([])
    for (const each of [good, bad]) expect((await store.read(idOf(each)))?.data).toEqual(each.data)
  })

  it('by a file that is truncated under a reader is an error, never a number', async () => {
    const root = scratch()
    const store = await openStore(root)
    const stored = wide('float32')
    await store.put([stored], { set: 'job' })
    const reader = await openStore(root)
    expect(await reader.read(idOf(stored), [[0, 1]])).not.toBeNull()
    const [file] = shardFiles(root)
    for (const size of [statSync(file).size - 10, 100_000, 40, 0]) {
      truncateSync(file, size)
      for (const each of [reader, await openStore(root)])
        expect(await each.read(idOf(stored), [[2, 3]])).toBeNull()
    }
    expect((await store.verify()).damaged).toHaveLength(1)
    expect(await store.gc()).toMatchObject({ damagedShards: 1 })
    await store.put([stored], { set: 'job' })
    expect((await store.read(idOf(stored)))?.data).toEqual(stored.data)
  })

  it('of any single bit in any file is found by verify: 1,000 of 1,000', async () => {
    const root = scratch()
    const store = await openStore(root)
    await store.put([item(row(1, 2), 'a'), item(row(5, 6, 7), 'b', { dtype: 'float16' })], { set: 'job' })
    await store.put([item(row(8), 'c', { shape: [1, 3000], dtype: 'int8' })], { set: 'job' })
    await store.label('job', { name: 'first', pinned: true })
    await store.gc()
    await store.put([item(row(9), 'd')], { set: 'other' })
    await store.close()
    const files = [
      ...shardFiles(root),
      ...['index/entries.table', 'labels.json', 'store.json'].map((name) => path.join(root, name)),
    ]
    const whole = files.map((file) => readFileSync(file))
    const total = whole.reduce((sum, { length }) => sum + length, 0)
    let seed = 1
    const missed: string[] = []
    for (let n = 0; n < 1000; n++) {
      seed = (seed * 48271) % 2147483647
      // All files in turn, so that small ones get their share.
      const at = n % 2 === 0 ? seed % total : -1
      let index = n % files.length
      let byte = seed % whole[index].length
      if (at >= 0)
        for (index = 0, byte = at; byte >= whole[index].length; index++) byte -= whole[index].length
      const broken = Buffer.from(whole[index])
      broken[byte] ^= 1 << ((seed >> 8) % 8)
      writeFileSync(files[index], broken)
      const checked = await ActivationStore.open(root, { producer: 'test', fs: unsynced })
      const { damaged } = await checked.verify()
      await checked.close()
      if (!damaged.some(({ file }) => path.join(root, file) === files[index]))
        missed.push(`${files[index]} byte ${byte}`)
      writeFileSync(files[index], whole[index])
      for (const mark of readdirSync(path.join(root, 'quarantine')))
        await realFs.rm(path.join(root, 'quarantine', mark), { force: true })
    }
    expect(missed).toEqual([])
    const healed = await openStore(root)
    expect(await healed.verify()).toMatchObject({ damaged: [], entries: 4 })
  }, 120_000)
})

describe('a later version', () => {
  it('of the store is refused, and nothing in it is touched', async () => {
    const root = scratch()
    await writeSealed(
      path.join(root, 'store.json'),
      { format: 'patchbay.activation-store', version: 2, quota: 1 },
      realFs,
    )
    const before = readFileSync(path.join(root, 'store.json'))
    await expect(openStore(root)).rejects.toMatchObject({
      field: 'format version',
      next: expect.stringMatching(/newer/) as string,
    })
    expect(readFileSync(path.join(root, 'store.json'))).toEqual(before)
    expect(readdirSync(root)).toEqual(['store.json'])
  })

  it('of a shard is left alone by reading, verify and gc', async () => {
    const root = scratch()
    const store = await openStore(root)
    await store.put([item(row(1), 'a')], { set: 'job' })
    const file = path.join(root, 'shards', `${'0'.repeat(16)}.safetensors`)
    const bytes = encodeSafetensors([{ name: 'x', shape: [1], data: Float32Array.of(1) }], {
      format: 'patchbay.activations/2',
      version: '2',
    })
    writeFileSync(file, bytes)
    const later = await openStore(root)
    expect(later.statistics()).toMatchObject({ entries: 1, foreign: 1, damaged: 0 })
    expect((await later.verify()).damaged).toEqual([])
    await later.gc()
    expect(readFileSync(file)).toEqual(Buffer.from(bytes))
  })
})

describe('an index or labels of a later version', () => {
  it('leave the index as it is, and the entries are found without it', async () => {
    const root = scratch()
    const store = await openStore(root)
    const stored = item(row(1, 2), 'a')
    await store.put([stored], { set: 'job' })
    await store.gc()
    const file = path.join(root, 'index', 'entries.table')
    const description = Buffer.from(JSON.stringify({ version: 2, records: [] }))
    const trailer = Buffer.alloc(16)
    trailer.writeUInt32LE(description.length, 0)
    trailer.writeUInt32LE(crc32(description), 4)
    trailer.write('PBINDEX1', 8, 'latin1')
    const later = Buffer.concat([description, trailer])
    writeFileSync(file, later)
    const reader = await openStore(root)
    expect((await reader.read(idOf(stored)))?.data).toEqual(stored.data)
    await reader.put([item(row(3), 'b')], { set: 'job' })
    await reader.gc()
    expect(readFileSync(file).equals(later)).toBe(true)
    expect((await reader.read(idOf(stored)))?.data).toEqual(stored.data)
  })

  it('leave the labels as they are, and nothing is written that might evict what they pin', async () => {
    const root = scratch()
    const store = await openStore(root)
    const stored = item(row(1, 2), 'a')
    await store.put([stored], { set: 'job' })
    const file = path.join(root, 'labels.json')
    await writeSealed(file, { version: 2, pins: ['job'] }, realFs)
    const before = readFileSync(file)
    for (const change of [
      store.put([item(row(3), 'b')], { set: 'job' }),
      store.label('job', { pinned: false }),
      store.gc(),
    ])
      await expect(change).rejects.toMatchObject({ field: 'format version' })
    expect(readFileSync(file)).toEqual(before)
    expect((await store.read(idOf(stored)))?.data).toEqual(stored.data)
  })
})
