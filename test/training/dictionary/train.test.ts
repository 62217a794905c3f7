import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Dictionary } from '../../../main/training/dictionary/dictionary'
import { rowNorm } from '../../../main/training/dictionary/decoder'
import { openSaelensFolder, saveSaelensFolder } from '../../../main/training/dictionary/saelens-folder'
import { dictionarySettings } from '../../../main/training/dictionary/settings'
import { dictionaryStatistics } from '../../../main/training/dictionary/statistics'
import { trainDictionary, type Provenance } from '../../../main/training/dictionary/train'
import type { StepRecord } from '../../../main/training/loop/types'
import { meanMaxCosine, planted } from './planted'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-dictionary-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const world = { d: 20, features: 32, active: 3, rows: 512, chunks: 400, scale: 7 }
const heldOut = planted({ ...world, chunks: 4 })
const provenance: Provenance = {
  modelName: 'planted',
  fingerprint: 'f'.repeat(64),
  hook: 'blocks.1.hook_resid_post',
  outputHook: null,
  prependBos: true,
}
const kinds = {
  standard: { activation: 'standard', sparsity: 0.8, rate: 1e-2 },
  topk: { activation: 'topk', k: 3, auxK: 16, deadAfter: 4000 },
  jumprelu: { activation: 'jumprelu', sparsity: 0.6, sparsityWarmUp: 200, threshold: 0.3, bandwidth: 1 },
  gated: { activation: 'gated', sparsity: 2.5, sparsityWarmUp: 100 },
} as const
const settingsOf = (kind: keyof typeof kinds, more: object = {}) =>
  dictionarySettings.parse({
    dSae: 64,
    steps: 700,
    rows: 256,
    buffer: 2048,
    rate: 5e-3,
    ...kinds[kind],
    ...more,
  })

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])('a %s autoencoder', (kind) => {
  it('finds the directions that are in the activations, and says as much of what it has not seen', async () => {
    const steps: StepRecord[] = []
    const source = planted(world)
    const { outcome, dictionary } = await trainDictionary(source, settingsOf(kind), provenance, {
      onStep: (record) => steps.push(record),
    })
    expect(outcome.kind).toBe('done')
    await saveSaelensFolder(folder, dictionary)
    const ready = await Dictionary.create(await openSaelensFolder(folder))
    const statistics = await dictionaryStatistics(ready, heldOut)
    await ready.release()
    const found = meanMaxCosine(
      source.directions,
      dictionary.weights.get('W_dec')?.data ?? new Float32Array(),
      20,
    )
    const last = steps[steps.length - 1].metrics
    expect(found).toBeGreaterThan(0.9)
    expect(statistics.explainedVariance).toBeGreaterThan(0.85)
    expect(statistics.l0).toBeLessThan(10)
    // What is watched while training, at the activations' scale of then, is what the saved dictionary does at theirs.
    expect(Math.abs(statistics.explainedVariance - last.explained_variance)).toBeLessThan(0.03)
    expect(Math.abs(statistics.l0 - last.l0)).toBeLessThan(0.3)
  })
})

describe('training a dictionary', () => {
  it('resumes to the same weights, bit for bit', async () => {
    const settings = settingsOf('topk', { steps: 20, checkpointEvery: 6 })
    const whole = await trainDictionary(planted(world), settings, provenance)
    const checkpoint = path.join(folder, 'checkpoint.safetensors')
    const controller = new AbortController()
    const killed = trainDictionary(planted(world), settings, provenance, {
      checkpoint,
      signal: controller.signal,
      onStep: ({ step }) => {
        if (step === 14) controller.abort()
      },
    })
    await expect(killed).rejects.toMatchObject({ code: 'run.cancelled' })
    const steps: number[] = []
    const resumed = await trainDictionary(planted(world), settings, provenance, {
      checkpoint,
      resume: true,
      onStep: ({ step }) => steps.push(step),
    })
    expect(steps[0]).toBe(12)
    expect(resumed.dictionary.weights).toEqual(whole.dictionary.weights)
    const other = { ...provenance, fingerprint: 'e'.repeat(64) }
    await expect(
      trainDictionary(planted(world), settings, other, { checkpoint, resume: true }),
    ).rejects.toMatchObject({ code: 'model.mismatch' })
  })

  it('keeps the decoder’s rows at length 1 where nothing else limits them', async () => {
    const settings = settingsOf('topk', { steps: 5, scaleActivations: false })
    const { dictionary } = await trainDictionary(planted(world), settings, provenance)
    const decoder = dictionary.weights.get('W_dec')?.data ?? new Float32Array()
    for (let feature = 0; feature < 64; feature++)
      expect(rowNorm(decoder, feature * 20, 20)).toBeCloseTo(1, 5)
  })

  it('brings dead features back by resampling them', async () => {
    const deadAtEnd = async (resampleEvery: number | null): Promise<number> => {
      let dead = NaN
      const more = { sparsity: 5, rate: 5e-3, steps: 390, deadAfter: 5000, resampleEvery }
      const onStep = ({ metrics }: StepRecord): void => void (dead = metrics.dead)
      await trainDictionary(planted(world), settingsOf('standard', more), provenance, { onStep })
      return dead
    }
    expect(await deadAtEnd(100)).toBeLessThan(0.75 * (await deadAtEnd(null)))
  })

  it('trains a transcoder from one hook point to another, with and without a skip connection', async () => {
    for (const skip of [false, true]) {
      const source = planted(world, 12)
      const settings = settingsOf('standard', { skip, sparsity: 0.4, steps: 350 })
      const outputHook = 'blocks.1.hook_mlp_out'
      const { dictionary } = await trainDictionary(source, settings, { ...provenance, outputHook })
      await saveSaelensFolder(folder, dictionary)
      expect(JSON.parse(readFileSync(path.join(folder, 'cfg.json'), 'utf8'))).toMatchObject({
        architecture: skip ? 'skip_transcoder' : 'transcoder',
        d_out: 12,
        apply_b_dec_to_input: false,
        metadata: { hook_name: provenance.hook, hook_name_out: outputHook },
      })
      const ready = await Dictionary.create(await openSaelensFolder(folder))
      expect(ready.config).toEqual(dictionary.config)
      const statistics = await dictionaryStatistics(ready, planted({ ...world, chunks: 4 }, 12))
      await ready.release()
      expect(statistics.explainedVariance).toBeGreaterThan(0.8)
      expect(statistics.l0).toBeLessThan(16)
    }
  })

  it('refuses settings that do not fit, and activations that there are none of or that are no numbers', async () => {
    const start = (more: object, source = planted(world)) =>
      trainDictionary(source, settingsOf('topk', { steps: 3, ...more }), provenance)
    await expect(start({ k: 65 })).rejects.toMatchObject({ code: 'input.invalid', field: 'k' })
    await expect(start({ skip: true })).rejects.toMatchObject({ field: 'skip' })
    await expect(start({}, planted({ ...world, chunks: 0 }))).rejects.toThrow(/no activations to train on/)
    await expect(start({ rows: 4096 }, planted({ ...world, chunks: 1 }))).rejects.toThrow(
      /512 rows .* batch of 4096/,
    )
    const poisoned = planted(world)
    const chunks = poisoned.chunks.bind(poisoned)
    poisoned.chunks = async function* (skip) {
      for await (const chunk of chunks(skip)) {
        chunk.x[45] = Infinity
        yield chunk
      }
    }
    await expect(start({}, poisoned)).rejects.toThrow(/Chunk 0 of the activations has Infinity in row 2/)
  })

  it('ends behind a checkpoint where the stream ends', async () => {
    const checkpoint = path.join(folder, 'checkpoint.safetensors')
    const { outcome } = await trainDictionary(
      planted({ ...world, chunks: 3 }),
      settingsOf('topk'),
      provenance,
      {
        checkpoint,
      },
    )
    expect(outcome).toEqual({ kind: 'ended', step: 6 })
  })
})
