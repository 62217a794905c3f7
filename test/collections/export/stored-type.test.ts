/** Exports in the type in which values are stored: no value is rounded, and none is larger than it has to be. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { tableFromIPC } from '@uwdata/flechette'
import { parquetReadObjects, parquetSchema, parquetMetadata } from 'hyparquet'
import { expect, it } from 'vitest'
import type { OpenCollection } from '../../../main/collections/collection'
import { exportCollection } from '../../../main/collections/export/export'
import type { CollectionExport, ExportType } from '../../../preload/collections'
import { filled, newOutput, numbers, scratch, shared } from '../fixture'
import { readNpy, readSafetensors, readZarr, readZip } from './readers'

const half = 'blocks.0.hook_resid_post'
const brain = 'blocks.1.hook_resid_post'
const quantised = 'blocks.2.hook_resid_post'
const tooLarge = 'blocks.3.hook_resid_post'
const whole = 'blocks.4.hook_resid_post'
const stacked = 'blocks.5.hook_resid_post[last]'
const names = [half, brain, quantised, tooLarge, whole, stacked]
const file = (name: string): string => name.replace('[last]', '-last')
const rows = Array.from({ length: 5 }, (_, i) => ({
  tokens: Array.from({ length: 2 + i }, (__, j) => 1 + j),
}))
const lacking = 3
const outputs = [
  newOutput(half, [null, 4], { dtype: 'float16' }),
  newOutput(brain, [null, 4], { dtype: 'bfloat16' }),
  newOutput(quantised, [null, 4], { dtype: 'int8' }),
  newOutput(tooLarge, [null, 4], { dtype: 'float16' }),
  newOutput(whole, [null, 4]),
  newOutput('blocks.5.hook_resid_post', [1, 4], { positions: { kind: 'last' }, dtype: 'float16' }),
]
const { use } = shared((at) =>
  filled(at, outputs, rows, (row, output) => {
    if (row === lacking) return null
    const shape = output === stacked ? [1, 4] : [rows[row].tokens.length, 4]
    const data = numbers(row + names.indexOf(output) / 7, shape[0] * 4)
    // The smallest and the largest number of float16, and one that it has not.
    if (output === half) data.set([2 ** -24, -65504])
    if (output === tooLarge && row === 2) data[0] = 1e5
    return { shape, data }
  }),
)
/** As the collection reads them: after what storing rounded. */
async function valuesOf(collection: OpenCollection, name: string): Promise<number[][]> {
  const all = []
  for (let row = 0; row < rows.length; row++)
    all.push(
      Array.from(
        (await collection.read(row, name))?.data ?? (name === stacked ? Array<number>(4).fill(NaN) : []),
      ),
    )
  return all
}

async function exported(
  format: CollectionExport,
  dtype: ExportType,
  check: (folder: string, expected: Map<string, number[][]>) => void | Promise<void>,
): Promise<void> {
  const folder = path.join(scratch(), 'out')
  await use(async (collection) => {
    const expected = new Map<string, number[][]>()
    for (const name of names) expected.set(name, await valuesOf(collection, name))
    await exportCollection(collection, { outputs: names, format, dtype, folder, name: 'n', filter: '' }, null)
    await check(folder, expected)
  })
}

const typesInAbout = (folder: string): string[] => {
  const about = JSON.parse(readFileSync(path.join(folder, 'about.json'), 'utf8')) as {
    outputs: { dtype: string }[]
  }
  return about.outputs.map(({ dtype }) => dtype)
}

it('has float16 and bfloat16 as they are stored in safetensors, and the rest as float32', async () => {
  await exported('safetensors', 'stored', (folder, expected) => {
    const { tensors, types } = readSafetensors(path.join(folder, 'values.safetensors'))
    expect(names.map((name) => types.get(name))).toEqual(['F16', 'BF16', 'F32', 'F32', 'F32', 'F16'])
    for (const name of names) expect(tensors.get(name)?.data).toEqual(expected.get(name)?.flat())
    expect(tensors.get(half)?.data.slice(0, 2)).toEqual([2 ** -24, -65504])
    expect(tensors.get(tooLarge)?.data).toContain(1e5)
    expect(typesInAbout(folder)).toEqual(['float16', 'bfloat16', 'float32', 'float32', 'float32', 'float16'])
  })
})

it('is float32 unless asked for', async () => {
  await exported('safetensors', 'float32', (folder, expected) => {
    const { tensors, types } = readSafetensors(path.join(folder, 'values.safetensors'))
    for (const name of names) {
      expect(types.get(name)).toBe('F32')
      expect(tensors.get(name)?.data).toEqual(expected.get(name)?.flat())
    }
    expect(new Set(typesInAbout(folder))).toEqual(new Set(['float32']))
  })
})

const numpyTypes = ['<f2', '<f4', '<f4', '<f4', '<f4', '<f2']

it('has float16 in npy, and bfloat16, which npy has not, as float32', async () => {
  await exported('npy', 'stored', (folder, expected) => {
    const read = names.map((name) => readNpy(readFileSync(path.join(folder, `${file(name)}.npy`))))
    expect(read.map(({ type }) => type)).toEqual(numpyTypes)
    read.forEach(({ data }, i) => expect(data).toEqual(expected.get(names[i])?.flat()))
  })
})

it('has float16 in npz', async () => {
  await exported('npz', 'stored', (folder, expected) => {
    const zip = readZip(readFileSync(path.join(folder, 'values.npz')))
    const read = names.map((name) => readNpy(zip.get(`${file(name)}.npy`) ?? Buffer.alloc(0)))
    expect(read.map(({ type }) => type)).toEqual(numpyTypes)
    read.forEach(({ data }, i) => expect(data).toEqual(expected.get(names[i])?.flat()))
  })
})

it('has float16 in Zarr', async () => {
  await exported('zarr', 'stored', (folder, expected) => {
    const read = names.map((name) => readZarr(path.join(folder, 'values.zarr', file(name))))
    expect(read.map(({ type }) => type)).toEqual(
      numpyTypes.map((type) => (type === '<f2' ? 'float16' : 'float32')),
    )
    read.forEach(({ data }, i) => expect(data).toEqual(expected.get(names[i])?.flat()))
    expect(read[0].attributes).toMatchObject({ output: half })
  })
})

/** Lists of a table's columns; null for the row without values. */
function expectLists(table: Record<string, unknown>[], expected: Map<string, number[][]>): void {
  for (const name of names)
    table.forEach((line, row) => {
      if (row === lacking) expect(line[name] ?? null).toBeNull()
      else expect(Array.from(line[name] as number[])).toEqual(expected.get(name)?.[row])
    })
}

it('has float16 in lists of Parquet', async () => {
  await exported('parquet', 'stored', async (folder, expected) => {
    const bytes = readFileSync(path.join(folder, 'rows.parquet'))
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
    expectLists(await parquetReadObjects({ file: buffer }), expected)
    const { children } = parquetSchema(parquetMetadata(buffer))
    const of = (name: string) =>
      children.find(({ element }) => element.name === name)?.children[0]?.children[0]?.element
    expect(of(half)).toMatchObject({ type_length: 2, logical_type: { type: 'FLOAT16' } })
    expect(of(brain)).toMatchObject({ type: 'FLOAT' })
  })
})

it('has float16 in lists of Arrow', async () => {
  await exported('arrow', 'stored', (folder, expected) => {
    const table = tableFromIPC(readFileSync(path.join(folder, 'rows.arrow', 'part-00000.arrow')))
    expectLists(table.toArray(), expected)
    const precision = (name: string): unknown => {
      const type = table.schema.fields.find((field) => field.name === name)?.type
      return type !== undefined && 'children' in type ? type.children[0].type : null
    }
    expect(precision(half)).toMatchObject({ precision: 0 })
    expect(precision(brain)).toMatchObject({ precision: 1 })
  })
})

const python = process.env.PATCHBAY_PYTHON ?? 'python3'
const libraries = {
  safetensors: 'torch, safetensors',
  npy: 'numpy',
  npz: 'numpy',
  zarr: 'numpy, zarr',
  parquet: 'numpy, pyarrow',
  arrow: 'numpy, pyarrow',
} as const
type Loaded = keyof typeof libraries

it.for(Object.keys(libraries) as Loaded[])(
  'is loaded by the program beside it, from %s (skipped without its library; PATCHBAY_PYTHON names another Python)',
  async (format, { skip }) => {
    const found = spawnSync(python, ['-c', `import ${libraries[format]}`]).status === 0
    skip(!found, `${python} has not all of ${libraries[format]}`)
    await exported(format, 'stored', (folder, expected) => {
      const report = `
print(json.dumps([[str(outputs[name][1].dtype).replace("torch.", ""), outputs[name][1].reshape(-1).tolist()] for name in ${JSON.stringify(names)}]))`
      writeFileSync(path.join(folder, 'try.py'), readFileSync(path.join(folder, 'load.py'), 'utf8') + report)
      const printed = execFileSync(python, [path.join(folder, 'try.py')], { encoding: 'utf8' })
      const answer = JSON.parse(printed) as [string, number[]][]
      expect(answer.map(([type]) => type)).toEqual(typesInAbout(folder))
      answer.forEach(([, data], i) => expect(data).toEqual(expected.get(names[i])?.[1]))
    })
  },
)
