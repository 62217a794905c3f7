import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import type { CallInput } from '../../preload/api'
import { collectionCalls } from '../../preload/collections'
import { filled, newOutput, numbers } from '../collections/fixture'

const resid = ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post']
const rows = Array.from({ length: 12 }, (_, i) => ({
  tokens: [1, 20 + i, 40 + i],
  label: i % 2 === 0 ? 'a' : 'b',
}))

let root: string
let engine: Engine
let id: string

beforeAll(async () => {
  root = mkdtempSync(path.join(os.tmpdir(), 'patchbay-engine-'))
  engine = new Engine({
    dataDir: path.join(root, 'data'),
    cacheDir: path.join(root, 'cache'),
    assetsDir: path.resolve('assets'),
  })
  const outputs = resid.map((hook) => newOutput(hook, [null, 6]))
  const valueOf = (row: number, output: string) => ({
    shape: [3, 6],
    data: numbers(row + resid.indexOf(output) / 3, 18),
  })
  id = await filled(engine, outputs, rows, valueOf)
})
afterAll(async () => {
  await engine.close()
  rmSync(root, { recursive: true, force: true })
})

type Name = keyof typeof collectionCalls

/** What a call gives, after it was held against the contract. */
async function call<N extends Name>(name: N, input: Omit<CallInput<N>, 'id'>) {
  const output = await engine.call(name, { id, ...input } as CallInput<N>)
  expect(collectionCalls[name].output.parse(output)).toEqual(output)
  return output
}

describe('the engine’s calls on collections', () => {
  const [output] = resid

  it('answer as the contract says', async () => {
    expect(await call('collections.list', {})).toHaveLength(1)
    expect((await call('collections.describe', {})).outputs.map(({ name }) => name)).toEqual(resid)
    expect((await call('collections.rows', { filter: 'row > 8' })).total).toBe(3)
    expect((await call('collections.query', { sql: 'SELECT max(row) FROM rows' })).rows).toEqual([[11]])
    expect((await call('collections.tokens', { row: 3, output })).tokens.map((token) => token.id)).toEqual(
      rows[3].tokens,
    )
    const filter = "label = 'a'"
    expect(Array.from((await call('collections.norms', { outputs: resid, filter })).rows)).toEqual([
      0, 2, 4, 6, 8, 10,
    ])
    expect((await call('collections.scatter', { output, filter })).points.shape).toEqual([6, 2])
    const near = await call('collections.neighbours', { output, row: 4, filter, count: 3 })
    expect(near.rows.length).toBe(3)
    expect(near.rows.every((row) => row % 2 === 0 && row !== 4)).toBe(true)
    expect((await call('collections.cosines', { outputs: resid })).cosines.shape).toEqual([2, 2])
    expect((await call('collections.outliers', { output, count: 2 })).dimensions.length).toBe(2)
    const target = { kind: 'unit', unit: 1 } as const
    expect((await call('collections.search', { output, target, filter, count: 2 })).rows).toBe(6)
    expect((await call('collections.page', { output, target, title: 'A title' })).name).toBe('A-title.html')
    const folder = path.join(root, 'exported')
    const { files } = await call('collections.export', { outputs: [output], format: 'npy', folder, filter })
    expect(files.map(({ name }) => name)).toContain(`${output}.npy`)
    expect(await call('collections.label', { name: 'Named' })).toMatchObject({ name: 'Named', pinned: false })
  })

  it('search along a preset’s vector where it fits, and say where it does not', async () => {
    const preset = (await engine.call('preset.list', {})).presets[0].preset.id
    const target = { kind: 'preset', id: preset } as const
    await expect(call('collections.search', { output, target })).rejects.toMatchObject({
      code: 'input.invalid',
    })
  })

  it('say which collection is not there', async () => {
    await expect(engine.call('collections.describe', { id: 'none' })).rejects.toThrow(
      'There is no collection "none"',
    )
    await expect(engine.call('collections.remove', { id: 'none' })).rejects.toThrow(
      'There is no collection "none"',
    )
  })
})
