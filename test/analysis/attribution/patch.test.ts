import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { patch } from '../../../main/analysis/attribution/patch'
import { relativeError, type Case } from '../../../main/analysis/parity/case'
import { patchResult, type AttributionMetric, type PatchPlace } from '../../../preload/attribution'
import { openFamily, openReference, type OpenedModel } from './reference'

describe.each(['gpt2', 'llama', 'gemma2'])('exact patching on %s', (family) => {
  let model: OpenedModel
  let reference: Case
  let clean: number[]
  let corrupt: number[]
  let metric: AttributionMetric
  beforeAll(async () => {
    model = await openFamily(family)
    reference = await openReference(family)
    ;[clean, corrupt] = await reference.tokens('input_ids')
    const { tokA = NaN, tokB = NaN } = reference.reference
    metric = { kind: 'logit-difference', positive: tokA, negative: tokB, position: 'last' }
  })
  afterAll(async () => {
    await model.close()
    await reference.close()
  })

  it.each(['noising', 'denoising'] as const)('gives the reference’s effects when %s', async (direction) => {
    const { layers, heads } = model.facts
    const at = <T>(count: number, f: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => f(i))
    const residual = at(layers, (layer) =>
      clean.map((_, p): PatchPlace => ({ hook: `blocks.${layer}.hook_resid_pre`, positions: [p] })),
    ).flat()
    const z = at(layers, (layer) =>
      at(heads, (head): PatchPlace => ({ hook: `blocks.${layer}.attn.hook_z`, head })),
    ).flat()
    const done: number[] = []
    const result = await patch(
      model,
      { clean, corrupt, metric, direction, places: [...z, ...residual] },
      { onProgress: (count) => done.push(count) },
    )
    expect(patchResult.safeParse(result).error).toBeUndefined()
    const effects = Float32Array.from(result.places, ({ effect }) => effect)
    const check = async (name: string, from: number, to: number): Promise<void> => {
      const want = await reference.tensor(`${direction}.${name}.exact`)
      expect(relativeError({ shape: want.shape, data: effects.slice(from, to) }, want)).toBeLessThan(1e-4)
    }
    await check('z', 0, z.length)
    await check('resid_pre', z.length, effects.length)
    const ends = await reference.tensor('metric')
    expect(result.ends.clean).toBeCloseTo(ends.data[0], 4)
    expect(result.ends.corrupt).toBeCloseTo(ends.data[1], 4)
    expect(done.at(-1)).toBe(effects.length)
  })

  it('says 0 for corrupt and 1 for clean, and nothing where they are the same', async () => {
    const all = [{ hook: 'blocks.0.hook_resid_pre' }]
    const denoised = await patch(model, { clean, corrupt, metric, direction: 'denoising', places: all })
    const noised = await patch(model, { clean, corrupt, metric, direction: 'noising', places: all })
    expect(denoised.places[0].normalised).toBeCloseTo(1, 4)
    expect(noised.places[0].normalised).toBeCloseTo(0, 4)
    const same = await patch(model, { clean, corrupt: clean, metric, direction: 'noising', places: all })
    expect(same.ends.problem).toMatch(/same metric/)
    expect(same.places[0]).toEqual({ metric: Math.fround(same.ends.clean), effect: 0, normalised: null })
  })
})

describe('exact patching', () => {
  let model: OpenedModel
  beforeAll(async () => {
    model = await openFamily('llama')
  })
  afterAll(() => model.close())
  const metric: AttributionMetric = { kind: 'log-probability', token: 7, position: 'last' }
  const ask = (places: PatchPlace[], corrupt = [3, 9, 17, 5, 40, 8]) =>
    patch(model, { clean: [3, 17, 5, 40, 8], corrupt, metric, direction: 'denoising', places })

  it('patches prompts of different length at aligned positions only', async () => {
    const all = await ask([{ hook: 'blocks.1.hook_resid_pre' }])
    const each = await ask([{ hook: 'blocks.1.hook_resid_pre', positions: [0, 2, 3, 4, 5] }])
    expect(all.places).toEqual(each.places)
    await expect(ask([{ hook: 'blocks.1.hook_resid_pre', positions: [1] }])).rejects.toThrow(/no partner/)
  })

  it('finds an untouched neuron without effect, and all neurons together as large as the MLP', async () => {
    const units = Array.from({ length: model.insides?.spec.blocks[0].mlp.width ?? 0 }, (_, i) => i)
    const { places } = await ask([
      { hook: 'blocks.0.mlp.hook_post', units },
      { hook: 'blocks.0.hook_mlp_out' },
      { hook: 'blocks.0.mlp.hook_post', positions: [0], units: [4] },
    ])
    expect(places[0].metric).toBeCloseTo(places[1].metric, 5)
    expect(places[2].effect).toBeCloseTo(0, 6)
  })

  it('refuses places that are not there, by name', async () => {
    await expect(ask([{ hook: 'blocks.7.hook_resid_pre' }])).rejects.toMatchObject({
      code: 'hook.unavailable',
    })
    await expect(ask([{ hook: 'nowhere' }])).rejects.toMatchObject({ code: 'hook.unknown' })
    await expect(ask([{ hook: 'blocks.0.attn.hook_pattern' }])).rejects.toThrow(/different length/)
    await expect(ask([{ hook: 'blocks.0.hook_mlp_out', head: 0 }])).rejects.toThrow(/no heads/)
    await expect(ask([{ hook: 'blocks.0.attn.hook_z', head: 4 }])).rejects.toThrow(/4 is out of range/)
    await expect(ask([{ hook: 'blocks.0.hook_mlp_out', positions: [6] }])).rejects.toMatchObject({
      field: 'target.sites.0.positions',
    })
  })

  it('stops between batches when it is cancelled', async () => {
    const controller = new AbortController()
    const places = Array.from({ length: 200 }, (): PatchPlace => ({ hook: 'blocks.0.hook_mlp_out' }))
    const running = patch(
      model,
      { clean: [3, 17, 5], corrupt: [3, 9, 5], metric, direction: 'noising', places },
      { signal: controller.signal, onProgress: () => controller.abort() },
    )
    await expect(running).rejects.toMatchObject({ code: 'run.cancelled' })
  })
})
