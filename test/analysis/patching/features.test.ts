/** Features of dictionaries patched as sites, against interventions whose values are reconstructed here, one run for each. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { patchPaths } from '../../../main/analysis/patching/paths'
import { siteRequest } from '../../../main/analysis/patching/site-request'
import type { PatchingModel } from '../../../main/analysis/patching/subject'
import { sweep } from '../../../main/analysis/patching/sweep'
import { Dictionary } from '../../../main/training/dictionary/dictionary'
import { openFeatures, type OpenFeatures } from '../../../main/training/dictionary/feature-dictionary'
import { weightShapes, type DictionaryConfig } from '../../../main/training/dictionary/config'
import { openSaelensFolder, saveSaelensFolder } from '../../../main/training/dictionary/saelens-folder'
import { SeededRandom } from '../../../main/training/random'
import { runRequest, type InterventionInput } from '../../../preload/run'
import { pathRequest, sweepRequest, type SweepRequestInput } from '../../../preload/sweep'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { casesFolder } from '../../support/cases'
import { patchingModel } from '../../support/patching-model'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const clean = [5, 17, 90, 23, 42, 7]
const corrupt = [5, 17, 31, 23, 42, 88]
const metrics = [{ kind: 'logit-difference', positive: [20], negative: [57] } as const]
/** Of the metric's own size. */
const TOLERANCE = 2e-5

let folder: string
let model: ReferenceModel
let subject: PatchingModel
beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-features-'))
  model = await openReferenceModel(path.join(casesFolder, 'architectures/gemma2'))
  subject = patchingModel(model)
})
afterAll(async () => {
  await model.close()
  rmSync(folder, { recursive: true, force: true })
})

const plain: DictionaryConfig = {
  activation: 'standard',
  dIn: 32,
  dOut: 32,
  dSae: 24,
  subtractDecoderBias: false,
  normalise: 'none',
  k: null,
  rescaleByDecoderNorm: false,
  transcoder: false,
  skip: false,
  hook: null,
  outputHook: null,
  joinsHeads: false,
  modelName: null,
  prependBos: null,
}

/** A folder with a dictionary of random weights. */
async function made(name: string, config: Partial<DictionaryConfig>): Promise<string> {
  const whole = { ...plain, ...config }
  const random = new SeededRandom(7)
  const weights = new Map<string, Tensor>()
  for (const [weight, shape] of weightShapes(whole)) {
    const scale = weight.startsWith('W_') ? 0.3 : 0.1
    weights.set(weight, {
      shape,
      data: Float32Array.from({ length: sizeOf(shape) }, () => scale * random.normal()),
    })
  }
  const where = path.join(folder, name)
  await saveSaelensFolder(where, { config: whole, weights })
  return where
}

/** A reference folder moved to a hook point of this model. */
function moved(name: string, hook: string): string {
  const where = path.join(folder, name)
  cpSync(path.join(casesFolder, 'interop/saelens', name), where, { recursive: true })
  const file = path.join(where, 'cfg.json')
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/blocks\.1\.hook_(resid_post|mlp_out)/g, hook))
  return where
}

const captured = async (tokens: readonly number[], hooks: string[]): Promise<Record<string, Tensor>> =>
  (
    await model.run({
      request: runRequest.parse({ model: model.fingerprint, rows: [tokens], captures: hooks }),
      tensors: {},
    })
  ).captures

/** What one row of features decodes to, with the normalisation of x undone: written out from the definition. */
function decoded(
  { config, weights }: Awaited<ReturnType<typeof openSaelensFolder>>,
  features: Float64Array,
  x: Float32Array,
): Float64Array {
  const wDec = weights.get('W_dec')?.data ?? new Float32Array(0)
  const bias = weights.get('b_dec')?.data ?? new Float32Array(0)
  const { dOut, dIn, normalise, rescaleByDecoderNorm } = config
  const y = Float64Array.from(bias)
  features.forEach((value, feature) => {
    const row = wDec.subarray(feature * dOut, (feature + 1) * dOut)
    const unit = rescaleByDecoderNorm ? Math.hypot(...row) : 1
    row.forEach((along, i) => (y[i] += (value / unit) * along))
  })
  if (normalise === 'none' || config.transcoder) return y
  if (normalise === 'constant-norm') return y.map((value) => (value * Math.hypot(...x)) / Math.sqrt(dIn))
  const mean = x.reduce((sum, value) => sum + value, 0) / dIn
  const deviation = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (dIn - 1))
  return y.map((value) => value * deviation + mean)
}

interface Brute {
  /** Features [pos, d_sae] of base and source. */
  base: Tensor
  source: Tensor
  /** The metric with a feature patched at positions. */
  patched(feature: number, positions: readonly number[]): Promise<number>
}

async function brute(where: string, zero = false): Promise<Brute> {
  const saved = await openSaelensFolder(where)
  const { hook, outputHook, dSae, dOut, dIn } = saved.config
  if (hook === null) throw new Error('The dictionary has no hook point.')
  const writes = outputHook ?? hook
  const dictionary = await Dictionary.create(saved)
  const encode = async (x: Tensor): Promise<Tensor> =>
    (await dictionary.run({ shape: [x.shape[1], dIn], data: x.data })).features
  const base = await captured(corrupt, [hook, writes])
  const features = await encode(base[hook])
  const other = await encode((await captured(clean, [hook]))[hook])
  if (zero) other.data.fill(0)
  await dictionary.release()
  return {
    base: features,
    source: other,
    async patched(feature, positions) {
      const value = base[writes].data.slice()
      for (const position of positions) {
        const x = base[hook].data.subarray(position * dIn, (position + 1) * dIn)
        const own = Float64Array.from(features.data.subarray(position * dSae, (position + 1) * dSae))
        const before = decoded(saved, own, x)
        const after = decoded(saved, own.with(feature, other.data[position * dSae + feature]), x)
        for (let i = 0; i < dOut; i++) value[position * dOut + i] += after[i] - before[i]
      }
      const replacing: InterventionInput = { hook: writes, operation: { kind: 'replace', value: 'value' } }
      const { logits } = await model.run({
        request: runRequest.parse({
          model: model.fingerprint,
          rows: [corrupt],
          interventions: [{ ...replacing, positions: corrupt.map((_, position) => position) }],
        }),
        tensors: { value: { shape: base[writes].shape.slice(1), data: value } },
      })
      return (logits?.data[20] ?? NaN) - (logits?.data[57] ?? NaN)
    },
  }
}

async function using<T>(where: string, use: (dictionary: OpenFeatures) => Promise<T>): Promise<T> {
  const dictionary = await openFeatures(where)
  try {
    return await use(dictionary)
  } finally {
    await dictionary.release()
  }
}

type Target = Partial<Extract<SweepRequestInput['target'], { kind: 'features' }>>
const requestOf = (where: string, target: Target = {}, more: Partial<SweepRequestInput> = {}) =>
  sweepRequest.parse({
    pairs: [{ clean, corrupt }],
    metrics,
    target: { kind: 'features', dictionary: where, ...target },
    ...more,
  })

async function expectAsBrute(where: string): Promise<void> {
  const one = await brute(where)
  const request = requestOf(where, { top: 5 })
  const { plan, raw, way } = await using(where, (dictionary) => sweep(subject, request, { dictionary }))
  expect(way).toBe('wave')
  const [features, positions] = plan.axes.map(({ values }) => values)
  expect(plan.axes.map(({ name }) => name)).toEqual(['feature', 'position'])
  expect(features.length).toBeGreaterThan(0)
  const unpatched = await one.patched(0, [])
  let moved = 0
  for (const [i, feature] of features.entries())
    for (const [j, position] of positions.entries()) {
      const expected = await one.patched(feature, [position])
      expect(Math.abs(raw.data[i * positions.length + j] - expected)).toBeLessThan(TOLERANCE)
      moved = Math.max(moved, Math.abs(expected - unpatched))
    }
  // Else the comparison would say nothing.
  expect(moved).toBeGreaterThan(20 * TOLERANCE)
}

describe('patched features of a made dictionary', () => {
  it.each([
    ['blocks.0.hook_resid_pre', {}],
    ['blocks.1.hook_resid_mid', { normalise: 'layer-norm' }],
    ['blocks.1.hook_resid_post', { activation: 'jumprelu', normalise: 'constant-norm' }],
    ['blocks.2.hook_resid_post', { subtractDecoderBias: true }],
    ['blocks.0.hook_attn_out', { activation: 'gated' }],
    ['blocks.1.hook_mlp_out', { activation: 'topk', k: 6, rescaleByDecoderNorm: true }],
    ['blocks.1.attn.hook_z', { dIn: 64, dOut: 64, joinsHeads: true, normalise: 'layer-norm' }],
    ['blocks.1.mlp.hook_post', { dIn: 48, dOut: 48 }],
    [
      'blocks.1.ln2.hook_normalized',
      { transcoder: true, outputHook: 'blocks.1.hook_mlp_out', skip: true, normalise: 'layer-norm' },
    ],
  ] satisfies [string, Partial<DictionaryConfig>][])(
    'at %s have the effect of a run of their own',
    async (hook, config) => {
      await expectAsBrute(await made(hook, { hook, ...config }))
    },
  )

  it('can be ablated, at all positions at once, and listed', async () => {
    const hook = 'blocks.1.hook_resid_pre'
    const where = await made('ablated', { hook })
    const one = await brute(where, true)
    const request = requestOf(where, { by: [], features: [3, 8, 1] }, { source: { kind: 'zero' } })
    const { plan, raw } = await using(where, (dictionary) => sweep(subject, request, { dictionary }))
    expect(plan).toMatchObject({ shape: [3], axes: [{ name: 'feature', values: [3, 8, 1] }], hooks: [hook] })
    const every = corrupt.map((_, position) => position)
    for (const [i, feature] of [3, 8, 1].entries())
      expect(Math.abs(raw.data[i] - (await one.patched(feature, every)))).toBeLessThan(TOLERANCE)
    expect(plan.activations?.source.data.every((value) => value === 0)).toBe(true)
    plan.activations?.base.data.forEach((value, i) => {
      const feature = [3, 8, 1][Math.floor(i / every.length)]
      expect(value).toBe(one.base.data[(i % every.length) * 24 + feature])
    })
  })

  it('are those that differ most, or are most active', async () => {
    const where = await made('ranked', { hook: 'blocks.1.hook_resid_pre' })
    const { base, source } = await brute(where)
    const positions = [2, 5]
    const ranking = (score: (b: number, s: number) => number): number[] =>
      Array.from({ length: 24 }, (_, feature) => ({
        feature,
        sum: positions.reduce(
          (sum, at) => sum + score(base.data[at * 24 + feature], source.data[at * 24 + feature]),
          0,
        ),
      }))
        .sort((a, b) => b.sum - a.sum)
        .slice(0, 4)
        .map(({ feature }) => feature)
    for (const [most, score] of [
      ['different', (b: number, s: number) => Math.abs(s - b)],
      ['active', (b: number, s: number) => s + b],
    ] as const) {
      const request = requestOf(where, { top: 4, most, positions })
      const { plan } = await using(where, (dictionary) => sweep(subject, request, { dictionary }))
      expect(plan.axes).toEqual([
        { name: 'feature', values: ranking(score) },
        { name: 'position', values: positions },
      ])
    }
  })

  it('are averaged over pairs', async () => {
    const where = await made('pairs', { hook: 'blocks.1.hook_resid_pre' })
    const pairs = [
      { clean, corrupt },
      { clean: clean.with(1, 60), corrupt: corrupt.with(3, 61) },
    ]
    const values = await using(where, async (dictionary) => {
      const ask = (some: typeof pairs) =>
        sweep(subject, requestOf(where, { features: [0, 1, 2, 3] }, { pairs: some }), { dictionary })
      return [await ask(pairs), await ask(pairs.slice(0, 1)), await ask(pairs.slice(1))]
    })
    const [both, first, second] = values.map(({ raw }) => raw.data)
    both.forEach((value, i) => expect(value).toBeCloseTo((first[i] + second[i]) / 2, 5))
  })

  it('go along paths, and as a request of their own', async () => {
    const where = await made('paths', { hook: 'blocks.0.hook_mlp_out' })
    const request = requestOf(where, { top: 4 })
    const receivers = [{ hook: 'blocks.2.hook_resid_post' }]
    await using(where, async (dictionary) => {
      const whole = await sweep(subject, request, { dictionary })
      const paths = await patchPaths(subject, pathRequest.parse({ ...request, receivers }), { dictionary })
      // What goes straight to the logits is not all of the effect.
      const difference = paths.raw.data.map((value, i) => Math.abs(value - whole.raw.data[i]))
      expect(Math.max(...difference)).toBeGreaterThan(1e-4)
      const site = whole.raw.data.indexOf(Math.max(...whole.raw.data))
      const input = await siteRequest(subject, request, { index: site, which: 0, dictionary })
      const { logits } = await model.run(input)
      expect((logits?.data[20] ?? NaN) - (logits?.data[57] ?? NaN)).toBeCloseTo(whole.raw.data[site], 4)
    })
  })
})

describe('patched features of SAELens’ own', () => {
  it.each([
    'hook_z',
    'standard',
    'gated',
    'jumprelu',
    'topk_rescale_by_decoder_norm',
    'normalize_layer_norm',
    'normalize_constant_norm_rescale',
    'old_flat_topk',
    'old_v5_gated_layer_norm',
  ])('folder %s have the effect of a run of their own', async (name) => {
    await expectAsBrute(moved(name, 'blocks.1.attn.hook_z'))
  })
})

describe('refuses', () => {
  const refusal = async (
    config: Partial<DictionaryConfig>,
    target: Target = {},
    more: Partial<SweepRequestInput> = {},
  ) => {
    const where = await made('refused', { hook: 'blocks.1.hook_resid_pre', ...config })
    return using(where, (dictionary) => sweep(subject, requestOf(where, target, more), { dictionary }))
  }

  it('a dictionary that does not fit its hook point, or says none', async () => {
    await expect(refusal({ dIn: 40, dOut: 40 })).rejects.toThrow('activations of 40 numbers')
    await expect(refusal({ hook: null })).rejects.toThrow('does not say at which hook point')
    await expect(refusal({ hook: 'blocks.9.hook_resid_pre' })).rejects.toMatchObject({
      code: 'hook.unavailable',
    })
    await expect(refusal({ transcoder: true })).rejects.toThrow('hook point it writes')
  })

  it('features, positions and sources that there are not', async () => {
    await expect(refusal({}, { features: [24] })).rejects.toThrow(
      '24 is out of range: the dictionary has 24 features',
    )
    await expect(refusal({}, { positions: [6] })).rejects.toThrow('6 is out of range')
    await expect(refusal({}, {}, { source: { kind: 'mean', rows: [clean] } })).rejects.toThrow(
      'replaced by a mean',
    )
    await expect(refusal({}, {}, { pairs: [{ clean, corrupt: clean }] })).rejects.toThrow('No feature')
  })
})
