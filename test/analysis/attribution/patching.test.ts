import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attributionPatching } from '../../../main/analysis/attribution/patching'
import { relativeError, type Case } from '../../../main/analysis/parity/case'
import {
  attributionPatching as schema,
  directions,
  type AttributionMetric,
  type EffectMap,
  type PatchSite,
} from '../../../preload/attribution'
import { openFamily, openReference, type OpenedModel } from './reference'

const sites: PatchSite[] = ['resid_pre', 'attn_out', 'mlp_out', 'z', 'neurons']
const nothing = { shape: [0], data: new Float32Array() }

describe.each(['gpt2', 'llama', 'gemma2'])('attribution patching on %s', (family) => {
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

  it.each(directions)('gives the reference’s estimates when %s', async (direction) => {
    const request = { clean, corrupt, metric, direction, sites, neurons: 5 }
    const result = await attributionPatching(model, request)
    expect(schema.safeParse(result).error).toBeUndefined()
    const error = async (name: string, map: EffectMap | null): Promise<number> =>
      relativeError(map?.effect ?? nothing, await reference.tensor(`${direction}.${name}.estimate`))
    expect(await error('resid_pre', result.residPre)).toBeLessThan(1e-4)
    expect(await error('z', result.heads)).toBeLessThan(1e-4)
    expect(await error('z_by_position', result.headsByPosition)).toBeLessThan(1e-4)
    const ends = await reference.tensor('metric')
    expect(result.ends.clean).toBeCloseTo(ends.data[0], 4)
    expect(result.ends.corrupt).toBeCloseTo(ends.data[1], 4)
  })

  it('agrees between sites that hold the same: all heads are the attention, all neurons the MLP', async () => {
    const width = model.insides?.spec.blocks[0].mlp.width ?? 0
    const neurons = width * model.facts.layers
    const request = { clean, corrupt, metric, direction: 'noising' as const, sites, neurons }
    const result = await attributionPatching(model, request)
    const sum = (values: Iterable<number> | undefined): number =>
      [...(values ?? [])].reduce((a, b) => a + b, 0)
    const mlps = sum(result.mlpOut?.effect.data)
    expect(result.neurons?.length).toBe(neurons)
    // Behind a norm of its own a sublayer's output is no sum of heads or neurons.
    if (family === 'gemma2') return
    expect(sum(result.neurons?.map(({ effect }) => effect))).toBeCloseTo(mlps, 3)
    expect(sum(result.heads?.effect.data)).toBeCloseTo(sum(result.attnOut?.effect.data), 3)
  })
})

describe('attribution patching', () => {
  let model: OpenedModel
  beforeAll(async () => {
    model = await openFamily('llama')
  })
  afterAll(() => model.close())
  const metric: AttributionMetric = { kind: 'log-probability', token: 7, position: 'last' }

  it('leaves positions without a partner empty, and sums heads over the others', async () => {
    const result = await attributionPatching(model, {
      clean: [3, 17, 5, 40, 8],
      corrupt: [3, 9, 17, 5, 40, 8],
      metric,
      direction: 'denoising',
      sites: ['resid_pre', 'z'],
      neurons: 1,
    })
    const row = [...(result.residPre?.effect.data.subarray(0, 6) ?? [])]
    expect(row.map(Number.isNaN)).toEqual([false, true, false, false, false, false])
    const first = [...(result.headsByPosition?.effect.data.subarray(0, 6) ?? [])].filter(Number.isFinite)
    expect(first).toHaveLength(5)
    expect(result.heads?.effect.data[0]).toBeCloseTo(
      first.reduce((a, b) => a + b, 0),
      5,
    )
    expect(result.notes[0]).toMatch(/differ in length/)
  })

  it('says plainly that nothing can be normalised where clean and corrupt are the same', async () => {
    const request = { clean: [3, 17], corrupt: [3, 17], metric, direction: 'noising' as const }
    const result = await attributionPatching(model, { ...request, sites: ['z', 'neurons'], neurons: 3 })
    expect(result.ends.problem).toMatch(/same metric/)
    expect(result.heads?.normalised).toBeNull()
    expect(result.heads?.effect.data.every((x) => x === 0)).toBe(true)
    expect(result.neurons?.map(({ normalised }) => normalised)).toEqual([null, null, null])
  })

  it('refuses a metric token outside the vocabulary, and a metric position without a partner', async () => {
    const ask = (changed: AttributionMetric, corrupt = [3, 9, 17, 5]) =>
      attributionPatching(model, {
        clean: [3, 17, 5, 40, 5],
        corrupt,
        metric: changed,
        direction: 'noising',
        sites: ['z'],
        neurons: 1,
      })
    await expect(ask({ ...metric, token: model.facts.vocab })).rejects.toMatchObject({ field: 'metric' })
    await expect(ask({ ...metric, position: 3 }, [3, 17, 5])).rejects.toThrow(/no partner/)
  })

  it('lists no neurons of experts, and says so', async () => {
    const mixtral = await openFamily('mixtral')
    const result = await attributionPatching(mixtral, {
      clean: [3, 17],
      corrupt: [3, 9],
      metric,
      direction: 'noising',
      sites: ['neurons'],
      neurons: 3,
    })
    expect(result.neurons).toEqual([])
    expect(result.notes[0]).toMatch(/mixtures of experts/)
    await mixtral.close()
  })
})
