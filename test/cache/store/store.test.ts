import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors } from '../../../main/models/formats/safetensors'
import { readFileSync } from 'node:fs'
import { idOf, item, openStore, row, scratch, values } from './fixtures'

const set = 'job'

describe('storing and reading', () => {
  it('returns what was stored, bit for bit, also after it was opened again', async () => {
    const root = scratch()
    const store = await openStore(root)
    const items = [item(row(1, 2, 3), 'hook_embed'), item(row(4, 5), 'blocks.0.hook_resid_post')]
    expect(await store.put(items, { set })).toMatchObject({ stored: 2, present: 0 })
    for (const reader of [store, await openStore(root)])
      for (const each of items) {
        const read = await reader.read(idOf(each))
        expect(read).toEqual({ shape: each.shape, data: each.data, error: { max: 0, relative: 0 } })
      }
  })

  it('has nothing that was not stored: another row, output or dtype', async () => {
    const store = await openStore()
    const stored = item(row(1, 2, 3), 'hook_embed')
    await store.put([stored], { set })
    const others = [
      { ...idOf(stored), row: '0'.repeat(64) },
      { ...idOf(stored), output: 'hook_pos_embed' },
      { ...idOf(stored), dtype: 'float16' as const },
    ]
    expect(await store.has([idOf(stored), ...others])).toEqual([true, false, false, false])
    expect(await store.read(others[0])).toBeNull()
  })

  it('stores the same once', async () => {
    const store = await openStore()
    const stored = item(row(1, 2), 'hook_embed')
    expect(await store.put([stored, stored], { set })).toMatchObject({ stored: 1, present: 1 })
    expect(await store.put([stored], { set })).toEqual({ stored: 0, present: 1, bytes: 0 })
    expect(store.statistics()).toMatchObject({ entries: 1 })
  })

  it('lets another process see what is stored, without opening again', async () => {
    const root = scratch()
    const [writer, reader] = [await openStore(root), await openStore(root)]
    const first = item(row(1, 2), 'hook_embed')
    await writer.put([first], { set })
    expect(await reader.read(idOf(first))).not.toBeNull()
    await writer.remove({ set })
    expect(await reader.list()).toEqual([])
    expect(await reader.read(idOf(first))).toBeNull()
  })

  it('makes no file before something is stored', async () => {
    const root = scratch()
    const store = await openStore(path.join(root, 'none'))
    expect(await store.read(idOf(item(row(1), 'hook_embed')))).toBeNull()
    expect(readdirSync(root)).toEqual([])
  })

  it('writes shards that are plain safetensors, with the entries under names that say what they are', async () => {
    const root = scratch()
    const store = await openStore(root)
    const stored = item(row(1, 2), 'hook_embed', { dtype: 'float16' })
    await store.put([stored], { set })
    const [file] = readdirSync(path.join(root, 'shards'))
    const { tensors, metadata } = decodeSafetensors(readFileSync(path.join(root, 'shards', file)))
    expect(tensors.get(`${stored.row}/hook_embed@float16`)).toMatchObject({ storage: 'F16', shape: [2, 8] })
    expect(JSON.parse(metadata.get(`row:${stored.row}`) ?? '')).toMatchObject({
      tokens: [1, 2],
      provider: 'cpu',
    })
  })

  it('refuses values that do not fit their shape, and names that could not be read back', async () => {
    const store = await openStore()
    const good = item(row(1, 2), 'hook_embed')
    for (const bad of [
      { ...good, shape: [3, 8] },
      { ...good, shape: [0, 8], data: new Float32Array() },
      { ...good, output: 'a\nb' },
      { ...good, row: '../../x' },
    ])
      expect(() => store.put([bad], { set })).toThrowError(expect.objectContaining({ code: 'input.invalid' }))
    expect(() => store.put([good], { set: '../x' })).toThrowError(
      expect.objectContaining({ code: 'input.invalid' }),
    )
  })
})

describe('slices', () => {
  it('are the same numbers as in the whole, for any ranges and dtypes', async () => {
    const store = await openStore()
    const shape = [37, 5, 129]
    for (const dtype of ['float32', 'float16', 'bfloat16', 'int8'] as const) {
      const stored = item(row(7, 8), 'attn', { shape, dtype })
      await store.put([stored], { set })
      const whole = await store.read(idOf(stored))
      for (const slice of [
        [[36, 37]],
        [
          [0, 37],
          [4, 5],
        ],
        [
          [3, 9],
          [1, 4],
          [100, 129],
        ],
        [null, null, [128, 129]],
        [
          [11, 12],
          [2, 3],
          [0, 129],
        ],
      ] as ([number, number] | null)[][]) {
        const part = await store.read(idOf(stored), slice)
        const [a, b, c] = shape.map((size, axis) => slice[axis] ?? [0, size])
        const expected: number[] = []
        for (let i = a[0]; i < a[1]; i++)
          for (let j = b[0]; j < b[1]; j++)
            for (let k = c[0]; k < c[1]; k++) expected.push(whole?.data[(i * 5 + j) * 129 + k] ?? NaN)
        expect(part?.shape).toEqual([a[1] - a[0], b[1] - b[0], c[1] - c[0]])
        expect([...(part?.data ?? [])]).toEqual(expected)
      }
    }
  })

  it('out of the tensor are refused', async () => {
    const store = await openStore()
    const stored = item(row(1, 2), 'hook_embed')
    await store.put([stored], { set })
    for (const slice of [
      [[0, 3]],
      [[1, 1]],
      [[-1, 1]],
      [
        [0, 1],
        [0, 8],
        [0, 1],
      ],
    ] as [number, number][][])
      await expect(store.read(idOf(stored), slice)).rejects.toMatchObject({
        code: 'input.invalid',
        field: 'slice',
      })
  })
})

describe('dtypes', () => {
  it('state a bound of the error that storing made, which is nearly reached', async () => {
    const store = await openStore()
    const bounds = { float16: 2 ** -11, bfloat16: 2 ** -8, int8: 0.5 / 127 + 1e-6 }
    for (const dtype of ['float16', 'bfloat16', 'int8'] as const)
      for (const scale of [1, 1000, 1e-6]) {
        const stored = item(row(1, 2, 3), `scale ${scale}`, { shape: [3, 64], dtype })
        stored.data.forEach((value, i) => (stored.data[i] = value * scale))
        await store.put([stored], { set })
        const read = await store.read(idOf(stored))
        const error = Math.max(...stored.data.map((value, i) => Math.abs(value - (read?.data[i] ?? NaN))))
        const largest = Math.max(...stored.data.map(Math.abs))
        expect(error).toBeLessThanOrEqual(read?.error.max ?? 0)
        expect(error).toBeGreaterThan(0.7 * (read?.error.max ?? 0))
        expect(read?.error.relative).toBeCloseTo((read?.error.max ?? 0) / largest, 6)
        // float16 has fewer digits below 6e-5.
        if (dtype !== 'float16' || scale > 1e-6)
          expect(read?.error.relative).toBeLessThanOrEqual(bounds[dtype])
      }
  })

  it('say that nothing was lost where nothing was', async () => {
    const store = await openStore()
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const stored = {
        ...item(row(1), 'whole numbers', { dtype }),
        data: Float32Array.of(0, -0, 1, -2, 96, 0.5, -0.25, 128),
      }
      await store.put([stored], { set })
      const { row: key, output } = stored
      expect(await store.readBest({ row: key, output }, { exact: true })).toMatchObject({
        data: stored.data,
        error: { max: 0 },
      })
    }
  })

  it('keep an outlier that float16 has no number for, by storing the entry as float32', async () => {
    const store = await openStore()
    for (const [dtype, outlier] of [
      ['float16', 1e6],
      ['bfloat16', 3.4e38],
      ['int8', NaN],
      ['int8', -Infinity],
    ] as const) {
      const stored = { ...item(row(1), `${dtype} ${outlier}`, { dtype }), data: values(1, 8) }
      stored.data[3] = outlier
      await store.put([stored], { set })
      expect(await store.find(idOf(stored))).toMatchObject({ storage: 'F32' })
      expect((await store.read(idOf(stored)))?.data).toEqual(stored.data)
    }
  })

  it('keep infinities in float16, as masked scores have them', async () => {
    const store = await openStore()
    const stored = {
      ...item(row(1), 'scores', { dtype: 'float16' }),
      data: Float32Array.of(1, -Infinity, 0, NaN, 1, 2, 3, Infinity),
    }
    await store.put([stored], { set })
    expect(await store.find(idOf(stored))).toMatchObject({ storage: 'F16', error: { max: 0 } })
    expect((await store.read(idOf(stored)))?.data).toEqual(stored.data)
  })

  it('are read from the most exact one, and only that where exact numbers are asked for', async () => {
    const store = await openStore()
    const exact = item(row(1, 2), 'hook_embed')
    const id = { row: exact.row, output: exact.output }
    await store.put([{ ...exact, dtype: 'int8' }], { set })
    expect((await store.readBest(id))?.error.max).toBeGreaterThan(0)
    expect(await store.readBest(id, { exact: true })).toBeNull()
    await store.put([exact], { set })
    expect((await store.readBest(id, { exact: true }))?.data).toEqual(exact.data)
  })
})

describe('the index', () => {
  const many = () =>
    Array.from({ length: 70 }, (_, i) => [
      item(row(i + 1, 2), 'hook_embed'),
      item(row(i + 1, 2), 'hook_resid'),
    ])

  it('is written when much is outside of it, and is built again where it is lost or damaged', async () => {
    const root = scratch()
    const store = await openStore(root)
    const batches = many()
    for (const batch of batches) await store.put(batch, { set })
    const table = path.join(root, 'index', 'entries.table')
    const whole = readFileSync(table)
    const ids = batches.flat().map(idOf)
    const all = ids.map(() => true)
    expect(await (await openStore(root)).has(ids)).toEqual(all)
    for (const at of [3, 13, 40, whole.length - 3, whole.length - 200, whole.length >> 1]) {
      const broken = Buffer.from(whole)
      broken[at] ^= 4
      writeFileSync(table, broken)
      expect(await (await openStore(root)).has(ids)).toEqual(all)
    }
    writeFileSync(table, whole.subarray(0, 100))
    expect(await (await openStore(root)).has(ids)).toEqual(all)
    rmSync(path.join(root, 'index'), { recursive: true })
    expect(await (await openStore(root)).has(ids)).toEqual(all)
  })

  it('finds the same through table and headers after gc', async () => {
    const root = scratch()
    const store = await openStore(root)
    const batches = many()
    for (const batch of batches) await store.put(batch, { set })
    const report = await store.gc()
    expect(report.joinedShards).toBe(70)
    expect(readdirSync(path.join(root, 'shards'))).toHaveLength(1)
    for (const reader of [store, await openStore(root)])
      for (const each of batches.flat()) expect((await reader.read(idOf(each)))?.data).toEqual(each.data)
  })
})
