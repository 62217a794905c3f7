import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { checksums } from '../../../main/cache/store/checksum'
import { encode } from '../../../main/cache/store/encoding'
import { entryName } from '../../../main/cache/store/entry'
import { writeShard } from '../../../main/cache/store/shard'
import type { PutItem } from '../../../main/cache/store/store'
import { decodeSafetensors, encodeSafetensors } from '../../../main/models/formats/safetensors'
import { idOf, item, openStore, row, scratch, shardFiles } from './fixtures'

const items: PutItem[] = [
  item(row(1, 2, 3), 'blocks.0.hook_resid_post'),
  item(row(1, 2, 3), 'blocks.1.hook_resid_post', { dtype: 'float16' }),
  item(row(4, 5), 'blocks.0.hook_resid_post', { dtype: 'int8' }),
]

async function exported(): Promise<{ file: string; values: (Float32Array | undefined)[] }> {
  const store = await openStore()
  await store.put(items.slice(0, 1), { set: 'job' })
  await store.put(items.slice(1), { set: 'job' })
  await store.put([item(row(9), 'x')], { set: 'other' })
  const file = path.join(scratch(), 'bundle.safetensors')
  expect(await store.exportBundle(file, { set: 'job' })).toMatchObject({ entries: 3, rows: 2 })
  const values = []
  for (const each of items) values.push((await store.read(idOf(each)))?.data)
  return { file, values }
}

describe('a bundle', () => {
  it('brings the same bytes to another store, and only what is not there yet', async () => {
    const { file, values } = await exported()
    const other = await openStore()
    await other.put(items.slice(0, 1), { set: 'mine' })
    expect(await other.importBundle(file)).toEqual({ set: 'job', stored: 2, present: 1 })
    for (const [i, each] of items.entries()) expect((await other.read(idOf(each)))?.data).toEqual(values[i])
    expect(await other.importBundle(file, { set: 'again' })).toEqual({ set: 'again', stored: 0, present: 3 })
    expect((await other.verify()).damaged).toEqual([])
  })

  it('is a plain safetensors file with the requests in it', async () => {
    const { file } = await exported()
    const { tensors, metadata } = decodeSafetensors(readFileSync(file))
    expect([...tensors.keys()].filter((name) => /^[0-9a-f]{64}\//.test(name))).toHaveLength(4) // one has scales
    expect([...metadata.keys()].filter((key) => key.startsWith('row:'))).toHaveLength(2)
  })

  it('of nothing is refused', async () => {
    const store = await openStore()
    const file = path.join(scratch(), 'bundle.safetensors')
    await expect(store.exportBundle(file, {})).rejects.toMatchObject({ code: 'input.invalid' })
  })

  it('of a damaged entry is not written', async () => {
    const root = scratch()
    const store = await openStore(root)
    await store.put(items, { set: 'job' })
    const at = (await store.find(idOf(items[0])))?.offset ?? 0
    const [shard] = shardFiles(root)
    const bytes = readFileSync(shard)
    bytes[at] ^= 1
    writeFileSync(shard, bytes)
    const file = path.join(scratch(), 'bundle.safetensors')
    await expect(store.exportBundle(file, {})).rejects.toMatchObject({ code: 'file.malformed' })
    expect(() => readFileSync(file)).toThrow(/ENOENT/)
  })

  it('that was changed anywhere is refused, and nothing of it is stored', async () => {
    const { file } = await exported()
    const whole = readFileSync(file)
    const broken = path.join(scratch(), 'broken.safetensors')
    for (let at = 0; at < whole.length; at += 37) {
      const bytes = Buffer.from(whole)
      bytes[at] ^= 16
      writeFileSync(broken, bytes)
      const store = await openStore()
      await expect(store.importBundle(broken), `byte ${at}`).rejects.toMatchObject({ code: 'file.malformed' })
      expect(store.statistics().entries).toBe(0)
    }
    for (let length = 0; length < whole.length; length += 97) {
      writeFileSync(broken, whole.subarray(0, length))
      await expect((await openStore()).importBundle(broken)).rejects.toMatchObject({ code: 'file.malformed' })
    }
  })

  it('with well-formed checksums is still held against the rules: keys, names, paths, sizes', async () => {
    const good = items[0]
    const name = entryName(good)
    const forged = async (change: {
      name?: string
      row?: string
      set?: string
      request?: PutItem['request']
    }) => {
      const { bytes, storage, error } = encode(good.data, 'float32', 8)
      const entry = {
        name: change.name ?? name,
        shape: good.shape,
        storage,
        values: { bytes, checks: checksums(bytes) },
        scale: null,
        error,
      }
      const file = path.join(scratch(), 'forged.safetensors')
      const rows = new Map([[change.row ?? good.row, change.request ?? good.request]])
      await writeShard(file, 'bundle', [entry], { set: change.set ?? 'job', created: '', producer: '', rows })
      return (await openStore()).importBundle(file)
    }
    expect(await forged({})).toMatchObject({ stored: 1 })
    for (const change of [
      { request: { ...good.request, tokens: [6] } }, // values of another prompt under this one's key
      { row: '../../etc' },
      { row: '0'.repeat(64) },
      { set: '../../etc' },
      { set: '' },
      { name: '../../../etc/passwd' },
      { name: `${good.row}/x@float64` },
      { name: `${good.row}/x` },
      { name: `${good.row}/x@float32#scale` },
      { name: '__proto__' },
    ])
      await expect(forged(change), JSON.stringify(change)).rejects.toMatchObject({ code: 'file.malformed' })
  })

  it('is not just any file', async () => {
    const folder = scratch()
    const store = await openStore()
    const plain = path.join(folder, 'plain.safetensors')
    writeFileSync(plain, encodeSafetensors([{ name: 'x', shape: [1], data: Float32Array.of(1) }]))
    await expect(store.importBundle(plain)).rejects.toMatchObject({ code: 'file.malformed', field: 'format' })
    // A header that promises 2^62 bytes allocates nothing.
    const bomb = path.join(folder, 'bomb')
    writeFileSync(bomb, Buffer.from('ffffffffffffff3f7b7d', 'hex'))
    await expect(store.importBundle(bomb)).rejects.toMatchObject({ code: 'file.malformed' })
    await expect(store.importBundle(folder)).rejects.toMatchObject({ code: 'file.unreadable' })
    await expect(store.importBundle(path.join(folder, 'none'))).rejects.toMatchObject({
      code: 'file.missing',
    })
  })
})
