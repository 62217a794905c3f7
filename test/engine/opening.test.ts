/** Opening models through the engine's own calls: forecasts, budgets, and a library that can not be written. */
import { cp, mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { forecastModel } from '../../main/engine/forecast-model'
import { openCheckpoint } from '../../main/models/formats/checkpoint'
import { calls } from '../../preload/api'
import { modelSource } from '../../preload/model'
import { casesFolder } from '../support/cases'

let folder: string
let engine: Engine
const assetsDir = path.join(import.meta.dirname, '../../assets')
const location = { kind: 'path' as const, path: path.join(casesFolder, 'architectures/llama') }

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-opening-'))
  engine = new Engine({ dataDir: path.join(folder, 'data'), cacheDir: path.join(folder, 'cache'), assetsDir })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

describe('the forecast of a model', () => {
  it('says what it takes and that it fits, without opening anything', async () => {
    const forecast = await engine.call('model.forecast', { location })
    expect(calls['model.forecast'].output.parse(forecast)).toEqual(forecast)
    expect(forecast).toMatchObject({ fits: true, forecasts: [{ precision: 'float32' }] })
    expect(forecast?.choices[0]).toMatchObject({ precision: 'float32', memoryBudget: null })
    expect(engine.models.handles()).toEqual([])
    expect(await engine.library.list()).toEqual([])
  })

  it('says what would fit where memory is short', async () => {
    const source = modelSource.parse({ location })
    const whole = (await forecastModel(source, assetsDir))?.forecasts[0]
    const between = ((whole?.whole ?? 0) + (whole?.least ?? 0)) / 2
    const short = await forecastModel(source, assetsDir, between)
    expect(short).toMatchObject({
      fits: false,
      choices: [{ precision: 'float32', memoryBudget: Math.floor(between) }],
      advice: expect.stringContaining('with a memory budget of') as string,
    })
    expect(await forecastModel(source, assetsDir, 1e6)).toMatchObject({ fits: false, choices: [] })
  })

  it('is none for an exported graph, and an error for what is no model', async () => {
    const onnx = path.join(casesFolder, 'onnx-exports')
    const name = 'gpt2-optimum'
    const exported = { kind: 'path' as const, path: path.join(onnx, name) }
    expect(await engine.call('model.forecast', { location: exported })).toBeNull()
    await expect(
      engine.call('model.forecast', { location: { kind: 'path', path: path.join(folder, 'none.gguf') } }),
    ).rejects.toMatchObject({ code: 'file.missing' })
  })
})

describe('a memory budget', () => {
  it('makes another open model, with the same numbers', async () => {
    const open = async (memoryBudget: number | null) =>
      engine.call('model.open', { location, provider: 'cpu', memoryBudget })
    const budget = ((await engine.call('model.forecast', { location }))?.forecasts[0].least ?? 0) + 1
    const models = [await open(null), await open(Math.ceil(budget))]
    expect(models[0].handle).not.toBe(models[1].handle)
    expect(models.map(({ source }) => source.memoryBudget)).toEqual([null, Math.ceil(budget)])
    const next = await Promise.all(
      models.map(({ handle }) =>
        engine.call('logits.next', { model: handle, tokens: [5, 6, 7], position: 2, count: 5 }),
      ),
    )
    expect(next[1].top).toEqual(next[0].top)
    // The same twice is one model.
    expect((await open(null)).handle).toBe(models[0].handle)
    expect(engine.models.handles()).toHaveLength(2)
  })
})

describe('weights that are no numbers', () => {
  it('are named in a warning of the model, which opens', async () => {
    const copy = path.join(folder, 'broken')
    await cp(location.path, copy, { recursive: true })
    const checkpoint = await openCheckpoint(copy)
    const entry = checkpoint.tensors.get('model.layers.1.mlp.down_proj.weight')
    await checkpoint.close()
    const file = await open(entry?.file ?? '', 'r+')
    await file.write(new Uint8Array(Float32Array.of(NaN).buffer), 0, 4, (entry?.offset ?? 0) + 4 * 5)
    await file.close()
    const { warnings } = await engine.call('model.open', {
      location: { kind: 'path', path: copy },
      provider: 'cpu',
    })
    expect(warnings.join()).toContain('model.layers.1.mlp.down_proj.weight (1, the first at index 5)')
    const whole = await engine.call('model.open', { location, provider: 'cpu' })
    expect(whole.warnings.join()).not.toContain('not finite')
  })
})

describe('a library that can not be written', () => {
  it('does not keep a model from opening: it is said', async () => {
    const dataDir = path.join(folder, 'occupied')
    // A folder in the file's place: no right of any account helps.
    await mkdir(path.join(dataDir, 'library.json', 'x'), { recursive: true })
    const other = new Engine({ dataDir, cacheDir: path.join(folder, 'cache'), assetsDir })
    try {
      const model = await other.call('model.open', { location, provider: 'cpu' })
      expect(model.warnings.join()).toContain('could not be added to the library')
      expect((await other.call('model.describe', { model: model.handle })).warnings).toEqual(model.warnings)
    } finally {
      await other.close()
    }
  })
})
