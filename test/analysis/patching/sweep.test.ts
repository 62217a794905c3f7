/** What a sweep promises besides its numbers: order, resumption, averages, sources, and words for what can not be. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { siteRequest } from '../../../main/analysis/patching/site-request'
import { sweep } from '../../../main/analysis/patching/sweep'
import type { PatchingModel } from '../../../main/analysis/patching/subject'
import { executeRun } from '../../../main/runtime/request'
import { WaveSize } from '../../../main/runtime/wave/size'
import { PatchbayError } from '../../../preload/errors'
import {
  sweepRequest,
  type KnownSites,
  type SweepMetricInput,
  type SweepProgress,
  type SweepRequestInput,
} from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { casesFolder } from '../../support/cases'
import { lastLogits, patchedLogits } from '../../support/one-at-a-time'
import { patchingModel } from '../../support/patching-model'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const clean = [5, 17, 90, 23, 42, 7, 11, 64]
const corrupt = [5, 17, 31, 23, 42, 88, 11, 70]
const metric: SweepMetricInput = { kind: 'logit-difference', positive: [20], negative: [57] }

let reference: ReferenceModel
let model: PatchingModel
beforeAll(async () => {
  reference = await openReferenceModel(path.join(casesFolder, 'architectures/llama'))
  model = patchingModel(reference)
})
afterAll(() => reference.close())

const request = (more: Partial<SweepRequestInput> = {}) =>
  sweepRequest.parse({
    pairs: [{ clean, corrupt }],
    metrics: [metric],
    target: { kind: 'grid', component: 'resid_pre' },
    ...more,
  })

class FixedSize extends WaveSize {
  constructor(private readonly tokens: number) {
    super()
  }
  override next(): number {
    return this.tokens
  }
}

type Values = Extract<SweepProgress, { kind: 'values' }>

describe('a sweep', () => {
  it('says first what it sweeps, then every site once, in the order wanted', async () => {
    const progress: SweepProgress[] = []
    const order = [15, 10, 8]
    const small = { ...model, waveSize: new FixedSize(1) }
    const { raw, plan } = await sweep(small, request(), {
      order,
      onProgress: (value) => progress.push(value),
    })
    expect(progress[0]).toEqual({ kind: 'plan', plan, done: 0, total: 16 })
    const values = progress.slice(1) as Values[]
    const sites = values.flatMap((value) => [...value.sites])
    expect(sites.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i))
    // Sites whose effect is certain without a run come before all.
    const [certain] = values
    expect([...certain.sites]).toContain(8)
    expect(sites.slice(certain.sites.length, certain.sites.length + 2)).toEqual([15, 10])
    for (const value of values)
      value.sites.forEach((site, i) => expect(value.raw.data[i]).toBe(raw.data[site]))
    expect(values[values.length - 1].done).toBe(16)
  })

  it('goes on after a cancellation: 2,000 sites, none twice, none missing, the same values', async () => {
    const sites = Array.from({ length: 2000 }, (_, i) => ({
      hook: `blocks.${i % 2}.mlp.hook_post`,
      positions: [2 + (i % 6)],
      units: [Math.floor(i / 12) % 48],
    }))
    const all = request({ target: { kind: 'sites', sites } })
    const whole = await sweep({ ...model, waveSize: new FixedSize(256) }, all)

    const found: Values[] = []
    const controller = new AbortController()
    const keep = (progress: SweepProgress): void => {
      if (progress.kind !== 'values') return
      found.push(progress)
      if (progress.done >= 1000) controller.abort()
    }
    const part = sweep({ ...model, waveSize: new FixedSize(256) }, all, {
      signal: controller.signal,
      onProgress: keep,
    })
    await expect(part).rejects.toMatchObject({ code: 'run.cancelled' })
    const before = found.length
    const known: KnownSites = {
      sites: Int32Array.from(found.flatMap((value) => [...value.sites])),
      raw: { shape: [0, 1], data: Float32Array.from(found.flatMap((value) => [...value.raw.data])) },
    }
    known.raw.shape = [known.sites.length, 1]
    expect(known.sites.length).toBeGreaterThanOrEqual(1000)
    expect(known.sites.length).toBeLessThan(2000)

    const rest = await sweep({ ...model, waveSize: new FixedSize(256) }, all, {
      known,
      onProgress: (progress) => progress.kind === 'values' && found.push(progress),
    })
    expect(found.length).toBeGreaterThan(before)
    const seen = found.flatMap((value) => [...value.sites])
    expect(seen.length).toBe(2000)
    expect(new Set(seen).size).toBe(2000)
    rest.raw.data.forEach((value, i) => expect(Math.abs(value - whole.raw.data[i])).toBeLessThan(1e-5))
  })

  it('normalises between corrupt and clean, and keeps the raw values', async () => {
    const { raw, normalised, plan } = await sweep(
      model,
      request({ target: { kind: 'sites', sites: [{ hook: 'blocks.0.hook_resid_pre' }] } }),
    )
    expect(raw.data[0]).toBeCloseTo(plan.ends[0].clean, 5)
    expect(normalised[0]?.data[0]).toBeCloseTo(1, 5)
  })

  it('noises as well as it denoises', async () => {
    const place = { hook: 'blocks.1.hook_resid_pre', positions: [2] }
    const { raw } = await sweep(
      model,
      request({ direction: 'noising', target: { kind: 'sites', sites: [place] } }),
    )
    const logits = await patchedLogits(reference, clean, corrupt, place)
    expect(raw.data[0]).toBeCloseTo(logits[20] - logits[57], 5)
  })

  it('averages pairs, each with its own answers', async () => {
    const other = { clean: [3, 9, 27, 81, 2], corrupt: [3, 9, 28, 81, 2] }
    const sites = [{ hook: 'blocks.0.attn.hook_z', head: 0 }, { hook: 'blocks.1.hook_attn_out' }]
    const own: SweepMetricInput = { kind: 'logit-difference', positive: [4], negative: [8] }
    const target = { kind: 'sites', sites } as const
    const both = await sweep(
      model,
      request({
        pairs: [
          { clean, corrupt },
          { ...other, metrics: [own] },
        ],
        target,
      }),
    )
    const first = await sweep(model, request({ target }))
    const second = await sweep(model, request({ pairs: [other], metrics: [own], target }))
    both.raw.data.forEach((value, i) =>
      expect(value).toBeCloseTo((first.raw.data[i] + second.raw.data[i]) / 2, 5),
    )
    expect(both.plan.ends[0].clean).toBeCloseTo((first.plan.ends[0].clean + second.plan.ends[0].clean) / 2, 5)
  })

  it('gives several metrics of one run', async () => {
    const metrics: SweepMetricInput[] = [
      metric,
      { kind: 'log-probability', token: 20 },
      { kind: 'probability', token: 20 },
      { kind: 'rank', token: 20 },
      { kind: 'kl', target: 'clean' },
      { kind: 'kl', target: 'clean', direction: 'model-target' },
      { kind: 'linear', of: 'probabilities', tokens: [20, 57], weights: [2, -1] },
      { kind: 'linear', tokens: [20, 57], weights: [1, -1] },
    ]
    const place = { hook: 'blocks.1.hook_resid_pre', positions: [7] }
    const { raw, plan } = await sweep(model, request({ metrics, target: { kind: 'sites', sites: [place] } }))
    const logits = await patchedLogits(reference, corrupt, clean, place)
    const target = await lastLogits(reference, clean)
    const [p, t] = [logits, target].map((row) => {
      const sum = row.reduce((total, x) => total + Math.exp(x), 0)
      return Array.from(row, (x) => Math.exp(x) / sum)
    })
    const kl = (a: number[], b: number[]): number => a.reduce((sum, x, i) => sum + x * Math.log(x / b[i]), 0)
    const want = [
      logits[20] - logits[57],
      Math.log(p[20]),
      p[20],
      logits.filter((x) => x > logits[20]).length,
      kl(t, p),
      kl(p, t),
      2 * p[20] - p[57],
      logits[20] - logits[57],
    ]
    expect(raw.shape).toEqual([8, 1])
    want.forEach((value, i) => expect(raw.data[i]).toBeCloseTo(value, 4))
    expect(plan.ends[4].clean).toBeCloseTo(0, 6)
    expect(plan.ends[4].corrupt).toBeGreaterThan(0)
  })

  it('reads a metric at another position than the last', async () => {
    const place = { hook: 'blocks.0.hook_resid_pre', positions: [2] }
    const { raw } = await sweep(
      model,
      request({
        metrics: [{ ...metric, position: 4 }, metric],
        target: { kind: 'sites', sites: [place, { hook: 'blocks.0.hook_resid_pre', positions: [5] }] },
      }),
    )
    const logits = await patchedLogits(reference, corrupt.slice(0, 5), clean.slice(0, 5), place)
    expect(raw.data[0]).toBeCloseTo(logits[20] - logits[57], 4)
    const base = await lastLogits(reference, corrupt.slice(0, 5))
    expect(raw.data[1]).toBeCloseTo(base[20] - base[57], 4)
  })

  it('patches aligned positions of prompts of different length', async () => {
    const longer = [5, 17, 3, 90, 23, 42, 7, 11, 64]
    const sites = [2, 3, 4].map((position) => ({ hook: 'blocks.1.hook_resid_pre', positions: [position] }))
    const pairs = [{ clean: corrupt, corrupt: longer, alignment: 'auto' as const }]
    const { raw, notes } = await sweep(model, request({ pairs, target: { kind: 'sites', sites } }))
    const alone = raw.data.findIndex(Number.isNaN)
    expect(alone).not.toBe(-1)
    expect(notes.join()).toContain('no partner')
    expect(Number.isFinite(raw.data[alone === 2 ? 0 : 2])).toBe(true)
  })

  const tensors: Record<string, Tensor> = {}
  it.each([
    ['zero', { kind: 'zero' }],
    ['the mean of other rows', { kind: 'mean', rows: [clean, [1, 2, 3]] }],
    ['another row', { kind: 'resample', rows: [clean, [9, 8, 7, 6, 5, 4, 3, 2, 1]], seed: 3 }],
    ['noise', { kind: 'noise', std: 0.5, seed: 4 }],
  ] as const)('replaces by %s, as the request of a single site does', async (_, source) => {
    const all = request({
      source: source as SweepRequestInput['source'],
      target: { kind: 'grid', component: 'mlp_out' },
    })
    const { raw } = await sweep(model, all, { tensors })
    for (const index of [1, 10, 15]) {
      const input = await siteRequest(model, all, { index, which: 0 })
      const { logits } = await executeRun(reference.stack, input)
      const last = logits?.data ?? new Float32Array(0)
      expect(raw.data[index]).toBeCloseTo(last[20] - last[57], 5)
    }
  })

  it('replaces by tensors that come along, and refuses those that do not fit', async () => {
    const source = { kind: 'tensor', tensors: { 'blocks.0.hook_attn_out': 'mine' } } as const
    const one = request({
      source,
      target: { kind: 'sites', sites: [{ hook: 'blocks.0.hook_attn_out', positions: [3] }] },
    })
    const width = reference.spec.dModel
    const mine = { shape: [width], data: new Float32Array(width).fill(0.25) }
    const { raw } = await sweep(model, one, { tensors: { mine } })
    const input = await siteRequest(model, one, { index: 0, which: 0, tensors: { mine } })
    expect([...input.tensors.source.data]).toEqual([...mine.data])
    const { logits } = await executeRun(reference.stack, input)
    expect(raw.data[0]).toBeCloseTo((logits?.data[20] ?? 0) - (logits?.data[57] ?? 0), 5)
    const wrong = { mine: { shape: [3], data: new Float32Array(3) } }
    await expect(sweep(model, one, { tensors: wrong })).rejects.toThrow('does not fit')
    const poisoned = { mine: { ...mine, data: mine.data.map(() => NaN) } }
    await expect(sweep(model, one, { tensors: poisoned })).rejects.toThrow('not finite')
    await expect(sweep(model, one)).rejects.toThrow('did not come with it')
  })

  it('restores what noise on the embeddings of the same prompt took away', async () => {
    const pairs = [{ clean, corrupt: clean, noise: { positions: [1, 2], std: 2, seed: 5 } }]
    const sites = [{ hook: 'hook_embed' }, { hook: 'blocks.1.hook_resid_pre', positions: [7] }]
    const all = request({ pairs, target: { kind: 'sites', sites } })
    const { raw, plan } = await sweep(model, all)
    expect(Math.abs(plan.ends[0].clean - plan.ends[0].corrupt)).toBeGreaterThan(1e-3)
    expect(raw.data[0]).toBeCloseTo(plan.ends[0].clean, 4)
    const { logits } = await executeRun(
      reference.stack,
      await siteRequest(model, all, { index: 1, which: 0 }),
    )
    expect(raw.data[1]).toBeCloseTo((logits?.data[20] ?? 0) - (logits?.data[57] ?? 0), 4)
  })

  it('runs with less where memory is short, and goes on', async () => {
    const { stack } = reference
    const onGraphs = stack.onGraphs.bind(stack)
    let refusals = 0
    const scarce: typeof stack.onGraphs = (work) => {
      if (refusals++ < 2)
        return Promise.reject(new PatchbayError('memory.exhausted', 'There is not enough memory.'))
      return onGraphs(work)
    }
    const plain = await sweep(model, request())
    const spy = vi.spyOn(stack, 'onGraphs').mockImplementation(scarce)
    try {
      const { raw } = await sweep({ ...model, waveSize: new WaveSize() }, request())
      expect(refusals).toBeGreaterThan(4)
      raw.data.forEach((value, i) => expect(value).toBeCloseTo(plain.raw.data[i], 5))
    } finally {
      spy.mockRestore()
    }
  })
})

describe('what can not be swept is said in words', () => {
  const refused: [string, Partial<SweepRequestInput>, string][] = [
    [
      'prompts of different length without an alignment',
      { pairs: [{ clean, corrupt: [1, 2] }] },
      'no alignment',
    ],
    ['positions outside', { target: { kind: 'grid', component: 'z', positions: [8] } }, '8 is out of range'],
    ['layers outside', { target: { kind: 'grid', component: 'z', layers: [2] } }, '2 is out of range'],
    [
      'heads outside',
      { target: { kind: 'sites', sites: [{ hook: 'blocks.0.attn.hook_k', head: 3 }] } },
      '3 is out of range',
    ],
    [
      'heads where there are none',
      { target: { kind: 'grid', component: 'mlp_out', by: ['head'] } },
      'no heads',
    ],
    [
      'hook points that are none',
      { target: { kind: 'sites', sites: [{ hook: 'blocks.0.hook_z' }] } },
      'no hook point',
    ],
    ['tokens outside', { metrics: [{ kind: 'rank', token: 100000 }] }, 'no token 100000'],
    ['a metric behind the end', { metrics: [{ ...metric, position: 8 }] }, 'position 8'],
    [
      'weights that do not fit',
      { metrics: [{ kind: 'linear', tokens: [1, 2], weights: [1] }] },
      'do not fit',
    ],
    ['rows too short to resample', { source: { kind: 'resample', rows: [[1, 2]] } }, '2 tokens'],
  ]
  it.each(refused)('refuses %s', async (_, more, words) => {
    await expect(sweep(model, request(more))).rejects.toThrow(words)
  })

  it('says that nothing is normalised where clean and corrupt have the same metric, and keeps raw values', async () => {
    const { normalised, raw, plan, notes } = await sweep(
      model,
      request({ pairs: [{ clean, corrupt: clean }] }),
    )
    expect(normalised).toEqual([null])
    expect(plan.ends[0].problem).toContain('same metric')
    expect(notes).toHaveLength(1)
    expect(raw.data.every((value) => value === plan.ends[0].clean)).toBe(true)
  })

  it('refuses known values of another sweep, and an order with strangers', async () => {
    const known = { sites: Int32Array.of(16), raw: { shape: [1, 1], data: Float32Array.of(0) } }
    await expect(sweep(model, request(), { known })).rejects.toThrow('Known site 16')
    await expect(sweep(model, request(), { order: [99] })).rejects.toThrow('no site 99')
  })
})
