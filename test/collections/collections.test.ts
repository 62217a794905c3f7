import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type { NewItem } from '../../main/collections/create'
import { setOf } from '../../main/collections/names'
import { collection as schema, collectionSummary } from '../../preload/collections'
import {
  about,
  fill,
  filled,
  itemsOf,
  llama,
  newOutput,
  newRow,
  numbers,
  place,
  type RowParts,
} from './fixture'

const resid = 'blocks.0.hook_resid_post'
const rows: RowParts[] = [
  { tokens: [1, 5, 6, 7], label: 'a', cells: { x: 1, y: 'one', z: null } },
  { tokens: [1, 8], label: 'b', cells: { x: 2, y: true } },
  { tokens: [9, 5, 6], label: 'a', cells: { x: null, y: 'three', z: true } },
]
const outputs = [newOutput(resid, [null, 6]), newOutput(resid, [1, 6], { positions: { kind: 'last' } })]
const valueOf = (row: number, output: string) => {
  const length = output === resid ? rows[row].tokens.length : 1
  return { shape: [length, 6], data: numbers(row + (output === resid ? 0 : 0.5), length * 6) }
}

describe('a collection', () => {
  it('gives back rows and values, whole and in slices', async () => {
    const at = await place()
    const id = await filled(at, outputs, rows, valueOf)
    await at.collections.use(id, async (collection) => {
      expect(collection.length).toBe(3)
      const row = await collection.row(2)
      expect(row).toMatchObject({
        source: 2,
        label: 'a',
        tokens: [9, 5, 6],
        own: [[0, 3]],
        cells: { z: true },
      })
      expect((await collection.row(0)).own).toEqual([[1, 4]])
      expect(collection.tokensOf(row)[0]).toEqual({ id: 9, piece: 't9', text: 't9', special: false })
      const all = await collection.read(2, resid)
      expect(all?.shape).toEqual([3, 6])
      expect(all?.data).toEqual(valueOf(2, resid).data)
      const slice = await collection.read(2, resid, [
        [1, 2],
        [4, 6],
      ])
      expect(slice?.data).toEqual(valueOf(2, resid).data.slice(10, 12))
      expect(await collection.positions(2, `${resid}[last]`)).toEqual([2])
      expect((await collection.read(0, `${resid}[last]`))?.data).toEqual(valueOf(0, 'last').data)
      await expect(collection.row(3)).rejects.toThrow('has 3 rows and no row 3')
      expect(() => collection.output('nothing')).toThrow('no output "nothing"')
    })
  })

  it('describes itself as the contract says', async () => {
    const at = await place()
    const id = await filled(at, outputs, rows, valueOf, 'Ünï codé 数')
    const described = await at.collections.describe(id)
    expect(schema.parse(described)).toEqual(described)
    expect(described).toMatchObject({
      name: 'Ünï codé 数',
      rows: 3,
      tokens: 9,
      complete: true,
      duplicates: 0,
    })
    expect(described.labels).toEqual([
      { label: 'a', rows: 2 },
      { label: 'b', rows: 1 },
    ])
    expect(described.columns.map(({ name, type, from }) => `${name}:${type}:${from}`)).toEqual([
      'row:number:row',
      'source:number:row',
      'label:text:row',
      'text:text:row',
      'tokens:number:row',
      'x:number:data',
      'y:text:data',
      'z:boolean:data',
    ])
    const [summary] = await at.collections.list()
    expect(collectionSummary.parse(summary)).toEqual(summary)
    expect(summary.bytes).toBeGreaterThan(0)
    expect(summary.id).toMatch(/^uni-code-[0-9a-f]{10}$/)
  })

  it('goes on where it stopped: what is missing is asked of the store', async () => {
    const at = await place()
    const writer = await at.collections.create(about(outputs), itemsOf(rows))
    expect(await writer.collection.missing(await writer.collection.row(1))).toEqual([resid, `${resid}[last]`])
    await writer.put([{ row: 1, output: resid, ...valueOf(1, resid) }])
    await writer.close()
    expect(await at.collections.describe(writer.id)).toMatchObject({ complete: false })
    const again = await at.collections.resume(writer.id)
    expect(await again.collection.missing(await again.collection.row(0))).toEqual([resid, `${resid}[last]`])
    expect(await again.collection.missing(await again.collection.row(1))).toEqual([`${resid}[last]`])
    await at.collections.use(writer.id, async (collection) => {
      expect(await collection.read(0, resid)).toBeNull()
    })
    await fill(again, valueOf)
    again.fail({ row: 1, error: { code: 'run.failed', message: 'It failed.' } })
    await again.complete()
    await again.close()
    expect(await at.collections.describe(writer.id)).toMatchObject({
      complete: true,
      failures: [{ row: 1, error: { code: 'run.failed' } }],
    })
  })

  it('says what storing lost', async () => {
    const at = await place()
    const half = [newOutput(resid, [null, 6], { dtype: 'float16' })]
    const id = await filled(at, half, rows, valueOf)
    const [{ error, dtype }] = (await at.collections.describe(id)).outputs
    expect(dtype).toBe('float16')
    expect(error).toBeGreaterThan(1e-5)
    expect(error).toBeLessThan(1e-3)
  })

  it('keeps the failures of a data set, and those of rows without the positions that are asked for', async () => {
    const at = await place()
    async function* items(): AsyncGenerator<NewItem> {
      yield { kind: 'failure', failure: { row: 0, error: { code: 'prompt.empty', message: 'Empty.' } } }
      yield await Promise.resolve({ kind: 'row', row: newRow(1, { tokens: [1, 2] }) } as const)
      yield { kind: 'duplicate', row: 2, of: 1 }
      yield { kind: 'row', row: newRow(3, { tokens: [1, 2, 3, 4] }) }
    }
    const third = newOutput(resid, [1, 6], { positions: { kind: 'at', positions: [3] } })
    const writer = await at.collections.create(about([third]), items())
    await writer.close()
    const described = await at.collections.describe(writer.id)
    expect(described).toMatchObject({ rows: 1, duplicates: 1 })
    expect(described.failures.map(({ row, error }) => [row, error.code])).toEqual([
      [0, 'prompt.empty'],
      [1, 'input.invalid'],
    ])
  })

  it('does not take a value for a rule that meant other positions of the same tokens', async () => {
    const at = await place()
    const spanned = [newOutput(resid, [1, 6], { positions: { kind: 'span' } })]
    const value = (seed: number) => ({ shape: [1, 6], data: numbers(seed, 6) })
    const first = await filled(at, spanned, [{ tokens: [1, 2, 3], span: [1, 2] }], () => value(1))
    const second = await filled(at, spanned, [{ tokens: [1, 2, 3], span: [2, 3] }], () => value(2))
    for (const [id, seed] of [
      [first, 1],
      [second, 2],
    ] as const)
      await at.collections.use(id, async (collection) => {
        expect((await collection.read(0, `${resid}[span]`))?.data).toEqual(value(seed).data)
      })
  })

  it('leaves nothing of one that could not be made', async () => {
    const at = await place()
    const folder = path.join(at.root, 'collections')
    async function* broken(): AsyncGenerator<NewItem> {
      yield await Promise.resolve({ kind: 'row', row: newRow(0, rows[0]) } as const)
      throw new Error('the data set broke')
    }
    await expect(at.collections.create(about(outputs), broken())).rejects.toThrow('the data set broke')
    await expect(at.collections.create(about(outputs), itemsOf([]))).rejects.toThrow('No row of the data set')
    await expect(at.collections.create(about([...outputs, ...outputs]), itemsOf(rows))).rejects.toThrow(
      'asked for twice',
    )
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([])
  })

  it('refuses values of another shape', async () => {
    const at = await place()
    const writer = await at.collections.create(about(outputs), itemsOf(rows))
    await expect(
      writer.put([{ row: 0, output: resid, shape: [4, 5], data: new Float32Array(20) }]),
    ).rejects.toThrow('have the shape [4, 5], not [pos, d_model]')
    await writer.close()
  })

  it('holds what the model computes', async () => {
    const at = await place()
    const id = await llama(at, rows)
    await at.collections.use(id, async (collection) => {
      const z = await collection.read(0, 'blocks.0.attn.hook_z')
      expect(z?.shape.length).toBe(3)
      const [post, deeper] = [
        await collection.read(0, resid),
        await collection.read(0, 'blocks.1.hook_resid_post'),
      ]
      expect(post?.shape).toEqual(deeper?.shape)
      expect(post?.data).not.toEqual(deeper?.data)
    })
  })
})

describe('the folder of collections', () => {
  it('renames, pins and removes', async () => {
    const at = await place()
    const id = await filled(at, outputs, rows, valueOf)
    const summary = await at.collections.label(id, { name: 'Other', note: 'a note', pinned: true })
    expect(summary).toMatchObject({ name: 'Other', note: 'a note', pinned: true })
    expect((await at.store.list())[0].label).toMatchObject({ name: 'Other', pinned: true })
    await at.collections.remove(id)
    expect(await at.collections.list()).toEqual([])
    expect((await at.store.list()).filter(({ set }) => set === setOf(id))).toEqual([])
    await expect(at.collections.describe(id)).rejects.toThrow('There is no collection')
  })

  it('does not list what a process that died left, and removes it after a day', async () => {
    const at = await place()
    const id = await filled(at, outputs, rows, valueOf)
    const warned = vi.spyOn(console, 'warn')
    const folders = ['old', 'new'].map((name) => path.join(at.root, 'collections', name))
    for (const folder of folders) mkdirSync(folder)
    utimesSync(folders[0], 1e9, 1e9)
    expect((await at.collections.list()).map((each) => each.id)).toEqual([id])
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()
    await filled(at, outputs, rows, valueOf)
    expect(folders.map((folder) => existsSync(folder))).toEqual([false, true])
  })

  it('shows what was completed meanwhile', async () => {
    const at = await place()
    const writer = await at.collections.create(about(outputs), itemsOf(rows))
    const complete = () => at.collections.use(writer.id, ({ manifest }) => Promise.resolve(manifest.complete))
    expect(await complete()).toBe(false)
    await writer.complete()
    await writer.close()
    expect(await complete()).toBe(true)
  })

  it('refuses ids that are paths', async () => {
    const { collections } = await place()
    for (const id of ['..', '../x', 'a/b', '', 'A', 'x'.repeat(200)])
      await expect(collections.remove(id)).rejects.toThrow('There is no collection')
  })

  it('notices a row that is not what was written', async () => {
    const at = await place()
    const id = await filled(at, outputs, rows, valueOf)
    const file = path.join(at.root, 'collections', id, 'rows.jsonl')
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replace('"label":"b"', '"label":"c"'))
    const use = () => at.collections.use(id, (collection) => collection.row(0))
    await expect(use()).rejects.toThrow('rows.jsonl: has changed or was damaged since it was written')
    writeFileSync(file, text)
    appendFileSync(file, '\n')
    await expect(use()).rejects.toThrow('has changed or was damaged since it was written')
    writeFileSync(file, text)
    expect((await use()).source).toBe(0)
  })

  it('leaves a collection of a later version as it is, and lists the others', async () => {
    const at = await place()
    const id = await filled(at, outputs, rows, valueOf)
    const later = await filled(at, outputs, rows, valueOf, 'Later')
    const file = path.join(at.root, 'collections', later, 'collection.json')
    const text = readFileSync(file, 'utf8').replace('"version":1', '"version":2')
    writeFileSync(file, text)
    await expect(at.collections.describe(later)).rejects.toThrow('made by a later Patchbay (format 2)')
    expect((await at.collections.list()).map((each) => each.id)).toEqual([id])
    expect(readFileSync(file, 'utf8')).toBe(text)
  })
})
