/** Sweeps through the engine's own calls: on storyworld, and on a graph that somebody else exported. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { WaveSizes } from '../../main/engine/wave-sizes'
import { calls, type CallInput, type CallProgress } from '../../preload/api'
import { sweepComponents } from '../../preload/sweep'
import { casesFolder } from '../support/cases'

let folder: string
let engine: Engine
const assetsDir = path.join(import.meta.dirname, '../../assets')

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-sweep-'))
  engine = new Engine({ dataDir: path.join(folder, 'data'), cacheDir: path.join(folder, 'cache'), assetsDir })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

const open = async (place: string): Promise<string> =>
  (await engine.call('model.open', { location: { kind: 'path', path: place }, provider: 'cpu' })).handle

describe('storyworld', () => {
  const ids = async (model: string, text: string): Promise<number[]> =>
    (await engine.call('prompt.encode', { model, prompt: { kind: 'text', text } })).tokens.map(({ id }) => id)

  it('is swept in every kind of component, as the contract says', async () => {
    const { handle: model } = await engine.call('model.open', {
      location: { kind: 'embedded' },
      provider: 'cpu',
    })
    const clean = await ids(model, 'The cat sat on the')
    const corrupt = clean.with(1, clean[2])
    for (const component of sweepComponents) {
      const progress: CallProgress<'sweep.run'>[] = []
      const result = await engine.call(
        'sweep.run',
        {
          model,
          pairs: [{ clean, corrupt }],
          target: { kind: 'grid', component },
          metrics: [{ kind: 'kl' }, { kind: 'logit-difference', positive: [5], negative: [6] }],
        },
        { onProgress: (value) => progress.push(calls['sweep.run'].progress.parse(value)) },
      )
      expect(() => calls['sweep.run'].output.parse(result)).not.toThrow()
      expect(result.way).toBe('wave')
      const sites = result.plan.shape.reduce((product, n) => product * n, 1)
      expect(result.computed + result.unchanged).toBe(sites)
      const streamed = progress.flatMap((value) => (value.kind === 'values' ? [...value.sites] : []))
      expect(new Set(streamed).size).toBe(sites)
      expect(result.raw.data.every(Number.isFinite)).toBe(true)
    }
  })

  it('gives the run of a single site, which computes the same', async () => {
    const { handle: model } = await engine.call('model.open', {
      location: { kind: 'embedded' },
      provider: 'cpu',
    })
    const clean = await ids(model, 'The cat sat on the')
    const request: CallInput<'sweep.run'> = {
      model,
      pairs: [{ clean, corrupt: clean.with(1, clean[2]) }],
      target: { kind: 'grid', component: 'z', by: ['head'] },
      metrics: [{ kind: 'logit-difference', positive: [5], negative: [6] }],
    }
    const { raw } = await engine.call('sweep.run', request)
    const site = await engine.call('sweep.site', { ...request, site: 3 })
    const { logits } = await engine.call('run.execute', { ...site, model })
    expect((logits?.data[5] ?? 0) - (logits?.data[6] ?? 0)).toBeCloseTo(raw.data[3], 4)
  })
})

describe('an exported graph', () => {
  it('is swept as rows of ordinary runs, with the numbers of its checkpoint', async () => {
    const clean = [5, 17, 40, 23, 42, 7]
    const request: Omit<CallInput<'sweep.run'>, 'model'> = {
      pairs: [{ clean, corrupt: clean.with(2, 31) }],
      target: { kind: 'grid', component: 'mlp_out' },
      metrics: [{ kind: 'logit-difference', positive: [20], negative: [47] }],
    }
    const exported = await open(path.join(casesFolder, 'onnx-exports/llama-optimum/model.onnx'))
    const theirs = await engine.call('sweep.run', { model: exported, ...request })
    expect(theirs.way).toBe('runs')
    const checkpoint = await open(path.join(casesFolder, 'architectures/llama'))
    const ours = await engine.call('sweep.run', { model: checkpoint, ...request })
    theirs.raw.data.forEach((value, i) => expect(value).toBeCloseTo(ours.raw.data[i], 4))
  })
})

describe('the size of waves', () => {
  it('is remembered for a model on this machine, and for no other', async () => {
    const cacheDir = path.join(folder, 'other')
    const size = new WaveSizes(cacheDir).of('one')
    await size.load()
    for (let i = 0; i < 9; i++) {
      const tokens = size.next(1_000_000)
      await size.measured(tokens, tokens, tokens * 20, tokens === 2048 ? 1 : 1000)
    }
    const again = new WaveSizes(cacheDir)
    for (const [model, wanted] of [
      ['one', 2048],
      ['two', 512],
    ] as const) {
      const known = again.of(model)
      await known.load()
      expect(known.next(1_000_000)).toBe(wanted)
    }
  })
})
