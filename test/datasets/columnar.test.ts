/** Parquet and Arrow as rows: files that pyarrow wrote, files that hyparquet-writer wrote, and damaged ones. */
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { parquetWriteBuffer, type ColumnSource } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import { readRows } from '../../main/datasets'
import { openSource } from '../../main/datasets/source/open'
import { readParquet } from '../../main/datasets/source/parquet'
import { PatchbayError } from '../../preload/errors'
import { count, useFolder } from './support'

const folder = useFolder()

/** Of pyarrow: see files/make.py. */
const written = (name: string): string => path.join(import.meta.dirname, 'files', name)
const expected = Array.from({ length: 300 }, (_, i) => ({
  text: `row ${i} – żółć ${'x'.repeat(i % 50)}`,
  label: i % 2 === 1 ? 'pos' : 'neg',
  id: i % 2 === 1 ? String(2n ** 60n + BigInt(i)) : i,
  score: i % 7 === 0 ? null : i / 4,
  flag: i % 3 === 0,
  messages: JSON.stringify([
    { role: 'user', content: `q${i}` },
    { role: 'assistant', content: 'a' },
  ]),
  tokens: JSON.stringify(Array.from({ length: i % 5 }, (_, k) => k)),
  image: JSON.stringify({ bytes: null, path: `${i}.png` }),
  when: new Date(Date.UTC(2024, 0, 1, i)).toISOString(),
}))

const parquet = (name: string, columnData: ColumnSource[], rowGroupSize?: number): string =>
  folder.write(name, new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize })))

describe('Parquet', () => {
  it.each(['snappy', 'zstd', 'gzip', 'none', 'pages'])(
    'gives what pyarrow wrote (%s): texts, long integers as text, nested columns as JSON, bytes as nothing',
    async (name) => {
      expect(await folder.cells(written(`${name}.parquet`))).toEqual(expected)
    },
  )

  it('says how many rows there are without reading them', async () => {
    const source = await openSource({ kind: 'file', path: written('zstd.parquet') })
    expect(await source.count()).toBe(300)
  })

  it('reads row groups, and parts of large ones, one after the other', async () => {
    const n = 5000
    const texts = Array.from({ length: n }, (_, i) =>
      i % 11 === 0 ? null : `text ${i} ${'y'.repeat(i % 90)}`,
    )
    const columns: ColumnSource[] = [
      { name: 'text', data: texts, type: 'STRING' },
      { name: '__proto__', data: Int32Array.from(texts, (_, i) => i), type: 'INT32' },
    ]
    const file = parquet('groups.parquet', columns, 3000)
    const sizes: number[] = []
    const rows: unknown[] = []
    for await (const batch of readParquet(
      { path: file, bytes: statSync(file).size, gzip: false },
      undefined,
      20_000,
    )) {
      sizes.push(batch.length)
      rows.push(...batch.map((row) => Object.entries(row)))
    }
    expect(Math.max(...sizes)).toBeLessThan(1500)
    expect(rows).toEqual(
      texts.map((text, i) => [
        ['text', text],
        ['__proto__', i],
      ]),
    )
  })

  it('names rows whose text is not UTF-8, and reads on', async () => {
    const data = ['a', 'b', 'c'].map((each) => Buffer.from(each))
    data[1] = Buffer.from([0x62, 0xff])
    const bytes = parquetWriteBuffer({
      columnData: [{ name: 'text', data }],
      schema: [
        { name: 'root', num_children: 1 },
        { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
      ],
    })
    expect(await folder.read(folder.write('latin.parquet', new Uint8Array(bytes)))).toEqual([
      { row: 0, cells: { text: 'a' } },
      expect.objectContaining({
        row: 1,
        field: 'row 1',
        message: 'latin.parquet: "text" of row 1 is not UTF-8 text.',
      }),
      { row: 2, cells: { text: 'c' } },
    ])
  })

  it('has empty cells for NaN, and text for infinities', async () => {
    const file = parquet('floats.parquet', [
      { name: 'x', data: new Float64Array([NaN, Infinity, 0.5]), type: 'DOUBLE' },
    ])
    expect(await folder.cells(file)).toEqual([{ x: null }, { x: 'Infinity' }, { x: 0.5 }])
  })

  it('gives the rows before a damaged row group, and names where it stops being readable', async () => {
    const texts = Array.from({ length: 2000 }, (_, i) => `text ${(i * 7919) % 2000}`)
    const bytes = new Uint8Array(
      parquetWriteBuffer({ columnData: [{ name: 'text', data: texts, type: 'STRING' }], rowGroupSize: 1000 }),
    )
    bytes.fill(0xff, bytes.length * 0.7, bytes.length * 0.75)
    const file = folder.write('damaged.parquet', bytes)
    const rows: unknown[] = []
    await expect(
      (async () => {
        for await (const { cells } of readRows({ kind: 'file', path: file })) rows.push(cells)
      })(),
    ).rejects.toMatchObject({ code: 'file.malformed', field: 'row 1000', file })
    expect(rows).toEqual(texts.slice(0, 1000).map((text) => ({ text })))
  })
})

describe('Arrow', () => {
  it.each(['stream.arrow', 'plain.feather'])('gives what pyarrow wrote: %s', async (name) => {
    expect(await folder.cells(written(name))).toEqual(expected)
  })

  it('says that columns encoded with dictionaries can not be read', async () => {
    await expect(folder.cells(written('categories.feather'))).rejects.toMatchObject({
      code: 'file.malformed',
      message: /encoded with a dictionary/,
    })
  })

  it('gives the batches before it is cut off, and names the byte', async () => {
    const bytes = readFileSync(written('stream.arrow'))
    const file = folder.write('cut.arrow', bytes.subarray(0, bytes.length - 500))
    const rows: unknown[] = []
    await expect(
      (async () => {
        for await (const { cells } of readRows({ kind: 'file', path: file })) rows.push(cells)
      })(),
    ).rejects.toMatchObject({ code: 'file.malformed', offset: expect.any(Number) as number })
    expect(rows).toEqual(expected.slice(0, 200))
  })
})

describe('a damaged file', () => {
  it.each(['zstd.parquet', 'snappy.parquet', 'stream.arrow'])(
    'ends in rows or in words, whatever bytes are changed: %s',
    async (name) => {
      const bytes = readFileSync(written(name))
      const change = fc.record({
        at: fc.oneof(
          fc.nat(bytes.length - 1),
          fc.nat(800).map((back) => bytes.length - 1 - back),
          fc.nat(800),
        ),
        to: fc.nat(255),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
          const damaged = Buffer.from(bytes)
          for (const { at, to } of changes) damaged[at] = to
          try {
            const file = folder.write(`damaged-${name}`, damaged)
            let failed = 0
            const counted = { onFailure: () => failed++ }
            const rows = await count(readRows({ kind: 'file', path: file }, counted))
            expect(rows + failed).toBeLessThan(500_000)
          } catch (error) {
            expect(error).toBeInstanceOf(PatchbayError)
            expect((error as PatchbayError).code).not.toBe('internal')
          }
        }),
        { numRuns: 60, seed: 8 },
      )
    },
  )
})
