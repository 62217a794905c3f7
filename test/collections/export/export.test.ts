import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { tableFromIPC } from '@uwdata/flechette'
import { parse } from 'csv-parse/sync'
import { parquetReadObjects } from 'hyparquet'
import { describe, expect, it } from 'vitest'
import { exportCollection } from '../../../main/collections/export/export'
import { collectionExports, type CollectionExport } from '../../../preload/collections'
import type { OpenCollection } from '../../../main/collections/collection'
import { filled, newOutput, numbers, scratch, shared } from '../fixture'
import { readNpy, readSafetensors, readZarr, readZip, type Read } from './readers'

const ragged = 'blocks.0.attn.hook_z'
const flat = 'blocks.0.attn.hook_pattern'
const stacked = 'blocks.0.hook_resid_post[last]'
const names = [ragged, stacked, flat]
const files: Record<string, string> = {
  [ragged]: ragged,
  [flat]: flat,
  [stacked]: 'blocks.0.hook_resid_post-last',
}
const rows = Array.from({ length: 9 }, (_, i) => ({
  tokens: Array.from({ length: 1 + (i % 4) }, (__, j) => 1 + i + j),
  label: i === 4 ? null : `=label ${i}`,
  text: i === 2 ? '@SUM(A1), "quoted"\nsecond line' : `text ${i}`,
  texts: { 5: '+1' },
  cells: {
    score: i / 3,
    ok: i % 2 === 0,
    'na"me,': i === 3 ? null : `cell ${i} ü \ud800`,
    mixed: i % 2 === 0 ? i : 'x',
  },
}))
const lacking = 6
const outputs = [
  newOutput(ragged, [null, 2, 3]),
  newOutput('blocks.0.hook_resid_post', [1, 4], { positions: { kind: 'last' } }),
  newOutput(flat, [2, null, null]),
]
const shapeOf = (row: number, output: string): number[] => {
  const length = rows[row].tokens.length
  return output === ragged ? [length, 2, 3] : output === flat ? [2, length, length] : [1, 4]
}
const valueOf = (row: number, output: string) => {
  if (row === lacking) return null
  const shape = shapeOf(row, output)
  const length = shape.reduce((product, n) => product * n, 1)
  return { shape, data: numbers(row + names.indexOf(output) / 4, length) }
}
const valuesOf = (row: number, output: string): number[] => Array.from(valueOf(row, output)?.data ?? [])
const { use } = shared((at) => filled(at, outputs, rows, valueOf))
/** Rows that are exported: not all. */
const chosen = Int32Array.of(0, 1, 2, 3, 4, 6, 8)
const all = Array.from(chosen)

async function exported<T>(
  format: CollectionExport,
  work: (folder: string, python: string, collection: OpenCollection) => T | Promise<T>,
): Promise<void> {
  const folder = path.join(scratch(), 'out', 'new folder')
  await use(async (collection) => {
    const progress: number[] = []
    const options = {
      outputs: names,
      format,
      dtype: 'float32',
      folder,
      name: 'A name',
      filter: 'row <> 5',
    } as const
    const { files: written, python } = await exportCollection(collection, options, chosen, {
      onProgress: ({ done, total }) => {
        expect(total).toBe(21)
        progress.push(done)
      },
    })
    expect(progress.at(-1)).toBe(21)
    for (const { name, bytes } of written) expect(readFileSync(path.join(folder, name)).length).toBe(bytes)
    expect(readdirSync(path.dirname(folder))).toEqual(['new folder'])
    expect(readFileSync(path.join(folder, 'load.py'), 'utf8')).toContain('Path(__file__).parent')
    const about = JSON.parse(readFileSync(path.join(folder, 'about.json'), 'utf8')) as Record<string, unknown>
    expect(about).toMatchObject({ collection: 'A name', modelName: 'made up', rows: 7, filter: 'row <> 5' })
    await work(folder, python, collection)
  })
}

/** The arrays of an export hold what was put, in the order of rows. */
function expectArrays(read: (name: string, part: '' | '+offsets' | '+shapes') => Read): void {
  const z = read(ragged, '')
  expect(z.shape.slice(1)).toEqual([2, 3])
  expect(z.data).toEqual(all.flatMap((row) => valuesOf(row, ragged)))
  const lengths = all.map((row) => (row === lacking ? 0 : rows[row].tokens.length))
  const offsets = lengths.reduce((sums, n) => [...sums, sums[sums.length - 1] + n], [0])
  expect(read(ragged, '+offsets')).toEqual({ shape: [8], data: offsets })
  const last = read(stacked, '')
  expect(last.shape).toEqual([7, 1, 4])
  all.forEach((row, i) => {
    const own = last.data.slice(4 * i, 4 * i + 4)
    if (row === lacking) expect(own.every(Number.isNaN)).toBe(true)
    else expect(own).toEqual(valuesOf(row, stacked))
  })
  const pattern = read(flat, '')
  expect(pattern.data).toEqual(all.flatMap((row) => valuesOf(row, flat)))
  const shapes = all.flatMap((row) => (row === lacking ? [0, 0, 0] : shapeOf(row, flat)))
  expect(read(flat, '+shapes')).toEqual({ shape: [7, 3], data: shapes })
}

function expectRows(folder: string): void {
  const lines = readFileSync(path.join(folder, 'rows.jsonl'), 'utf8').trimEnd().split('\n')
  const read = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(read.map(({ row }) => row)).toEqual(all)
  expect(read[2]).toMatchObject({ text: rows[2].text, label: rows[2].label, tokens: rows[2].tokens })
}

/** Rows of a table with the values in lists. */
function expectTable(table: Record<string, unknown>[]): void {
  expect(table.map(({ row }) => row)).toEqual(all)
  const list = (value: unknown): number[] => Array.from(value as number[])
  table.forEach((line, i) => {
    const row = all[i]
    const { tokens, label, text, cells } = rows[row]
    expect(line).toMatchObject({
      label,
      text,
      tokens: tokens.length,
      score: cells.score,
      ok: cells.ok,
      mixed: String(cells.mixed),
    })
    expect(line['na"me,']).toBe(row === 3 ? null : `cell ${row} ü \ufffd`)
    expect(list(line.token_ids)).toEqual(tokens)
    if (row === lacking) expect(line[ragged] ?? null).toBeNull()
    else {
      expect(list(line[ragged])).toEqual(valuesOf(row, ragged))
      expect(list(line[stacked])).toEqual(valuesOf(row, stacked))
      expect(list(line[flat])).toEqual(valuesOf(row, flat))
      expect(list(line[`${flat}.shape`])).toEqual(shapeOf(row, flat))
    }
  })
}

describe('an export', () => {
  it('as safetensors holds the values, with what they are of', async () => {
    await exported('safetensors', (folder) => {
      const { tensors, metadata } = readSafetensors(path.join(folder, 'values.safetensors'))
      expectArrays((name, part) => tensors.get(name + part) ?? { shape: [], data: [] })
      expect(metadata).toMatchObject({ modelName: 'made up', parity: 'not certified', rows: '7' })
      expectRows(folder)
    })
  })

  it('as npy is a file an output', async () => {
    await exported('npy', (folder) => {
      expectArrays((name, part) => {
        const { shape, data } = readNpy(readFileSync(path.join(folder, `${files[name]}${part}.npy`)))
        return { shape, data }
      })
      expectRows(folder)
    })
  })

  it('as npz is one file of these', async () => {
    await exported('npz', (folder) => {
      const zip = readZip(readFileSync(path.join(folder, 'values.npz')))
      expect(zip.size).toBe(6)
      expectArrays((name, part) => {
        const { shape, data } = readNpy(zip.get(`${files[name]}${part}.npy`) ?? Buffer.alloc(0))
        return { shape, data }
      })
      expectRows(folder)
    })
  })

  it('as Zarr is a group of arrays', async () => {
    await exported('zarr', (folder) => {
      const group = path.join(folder, 'values.zarr')
      expectArrays((name, part) => {
        const { shape, data } = readZarr(path.join(group, files[name] + part))
        return { shape, data }
      })
      expect(readZarr(path.join(group, files[stacked])).attributes).toMatchObject({ output: stacked })
      const root = JSON.parse(readFileSync(path.join(group, 'zarr.json'), 'utf8')) as Record<string, unknown>
      expect(root).toMatchObject({ node_type: 'group', attributes: { collection: 'A name' } })
      expectRows(folder)
    })
  })

  it('as Parquet is a table with lists', async () => {
    await exported('parquet', async (folder) => {
      const bytes = readFileSync(path.join(folder, 'rows.parquet'))
      const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
      expectTable(await parquetReadObjects({ file }))
    })
  })

  it('as Arrow is a table with lists', async () => {
    await exported('arrow', (folder) => {
      const parts = readdirSync(path.join(folder, 'rows.arrow'))
      expect(parts).toEqual(['part-00000.arrow'])
      const bytes = readFileSync(path.join(folder, 'rows.arrow', parts[0]))
      expect(bytes.subarray(0, 6).toString()).toBe('ARROW1')
      expectTable(tableFromIPC(bytes).toArray())
    })
  })

  it('as CSV is a table of rows and one for each output, without formulas', async () => {
    const folder = path.join(scratch(), 'csv')
    await use(async (collection) => {
      const options = { format: 'csv', dtype: 'stored', folder, name: 'n', filter: '' } as const
      await expect(exportCollection(collection, { ...options, outputs: [flat] }, null)).rejects.toThrow(
        'does not fit a table of CSV',
      )
      await exportCollection(collection, { ...options, outputs: [ragged, stacked] }, null)
    })
    const read = (name: string) =>
      parse<Record<string, string>>(readFileSync(path.join(folder, name)), { columns: true })
    const table = read('rows.csv')
    expect(table.length).toBe(9)
    expect(table[2]).toMatchObject({
      row: '2',
      label: "'=label 2",
      text: `'${rows[2].text}`,
      token_ids: rows[2].tokens.join(' '),
    })
    const values = read(`${ragged}.csv`)
    const expected = rows.flatMap(({ tokens }, row) =>
      row === lacking ? [] : tokens.map((token, position) => ({ row, token, position })),
    )
    expect(values.map(({ row, position }) => [row, position])).toEqual(
      expected.map(({ row, position }) => [String(row), String(position)]),
    )
    values.forEach((line, i) => {
      const { row, position, token } = expected[i]
      expect(line.token).toBe(token === 5 ? "'+1" : `t${token}`)
      expect(Math.fround(Number(line['head 1 d_head 2']))).toBe(valuesOf(row, ragged)[6 * position + 5])
    })
    expect(Math.fround(Number(read(`${files[stacked]}.csv`)[7]['d_model 3']))).toBe(valuesOf(8, stacked)[3])
  })
})

describe('the folder of an export', () => {
  const options = (folder: string) =>
    ({ outputs: names, format: 'npy', dtype: 'float32', folder, name: 'n', filter: '' }) as const

  it('is not made where there is something, which stays as it was', async () => {
    const folder = path.join(scratch(), 'there')
    mkdirSync(folder)
    writeFileSync(path.join(folder, 'mine'), 'mine')
    await use(async (collection) => {
      await expect(exportCollection(collection, options(folder), null)).rejects.toThrow('already something')
    })
    expect(readdirSync(folder)).toEqual(['mine'])
  })

  it('is not there, nor anything beside it, after a cancellation', async () => {
    const parent = path.join(scratch(), 'out')
    const controller = new AbortController()
    await use(async (collection) => {
      const exporting = exportCollection(collection, options(path.join(parent, 'x')), null, {
        signal: controller.signal,
        onProgress: () => controller.abort(),
      })
      await expect(exporting).rejects.toMatchObject({ code: 'run.cancelled' })
    })
    expect(existsSync(parent) ? readdirSync(parent) : []).toEqual([])
  })

  it('is the same for the same collection', async () => {
    await use(async (collection) => {
      const root = scratch()
      const read = async (name: string) => {
        const folder = path.join(root, name)
        await exportCollection(collection, { ...options(folder), format: 'npz' }, null)
        return readFileSync(path.join(folder, 'values.npz'))
      }
      expect(Buffer.compare(await read('a'), await read('b'))).toBe(0)
    })
  })
})

const python = process.env.PATCHBAY_PYTHON ?? 'python3'
const libraries: Record<CollectionExport, string> = {
  safetensors: 'numpy, safetensors',
  npy: 'numpy',
  npz: 'numpy',
  zarr: 'numpy, zarr',
  parquet: 'numpy, pyarrow',
  arrow: 'numpy, pyarrow',
  csv: 'pandas',
}

describe('the Python program of an export', () => {
  it.for(collectionExports)(
    'loads %s (skipped without its library; PATCHBAY_PYTHON names another Python)',
    async (format, { skip }) => {
      const needs = libraries[format]
      const found = spawnSync(python, ['-c', `import ${needs}`]).status === 0
      skip(!found, `${python} has not all of ${needs}`)
      const folder = path.join(scratch(), 'quoted "folder"')
      const own = format === 'csv' ? [ragged, stacked] : names
      const { python: program } = await use((collection) =>
        exportCollection(
          collection,
          { outputs: own, format, dtype: 'float32', folder, name: 'n', filter: '' },
          chosen,
        ),
      )
      const report =
        format === 'csv'
          ? `
z = outputs[${JSON.stringify(ragged)}]
print(json.dumps([z[z.row == 3].iloc[:, 3:].values.reshape(-1).tolist(), len(table)]))`
          : `
f = lambda x: None if x is None else [list(np.asarray(x).shape), np.asarray(x).reshape(-1).tolist()]
import numpy as np
print(json.dumps([[f(outputs[name][i]) for i in (3, 5)] for name in ${JSON.stringify(own)}]).replace("NaN", "null"))`
      for (const text of [program, readFileSync(path.join(folder, 'load.py'), 'utf8')]) {
        const file = path.join(folder, 'try.py')
        writeFileSync(file, text + report)
        const answer = JSON.parse(execFileSync(python, [file], { encoding: 'utf8' })) as unknown[]
        if (format === 'csv') {
          expect((answer[0] as number[]).map(Math.fround)).toEqual(valuesOf(3, ragged))
          expect(answer[1]).toBe(7)
          continue
        }
        for (const [i, name] of own.entries()) {
          const [there, missing] = answer[i] as [[number[], number[]], [number[], (number | null)[]] | null]
          expect(there).toEqual([shapeOf(3, name), valuesOf(3, name)])
          // No values: an empty array or None, and NaN in an array of all rows.
          expect((missing?.[1] ?? []).every((x) => x === null)).toBe(true)
        }
      }
    },
  )
})
