/**
 * Sweeps against one forward pass for each site, on every kind of block and attention. Both are float32 computed in another
 * order: what is compared agrees to 2e-5 of the largest effect's scale.
 */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sweep } from '../../../main/analysis/patching/sweep'
import type { PatchingModel } from '../../../main/analysis/patching/subject'
import { hasHook } from '../../../main/models/hook-points'
import { WaveSize } from '../../../main/runtime/wave/size'
import type { PatchPlace } from '../../../preload/attribution'
import {
  componentSites,
  sweepRequest,
  type SweepComponent,
  type SweepRequestInput,
} from '../../../preload/sweep'
import { casesFolder } from '../../support/cases'
import { lastLogits, patching } from '../../support/one-at-a-time'
import { ordinary, patchingModel } from '../../support/patching-model'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const TOLERANCE = 2e-5

/** Names of checkpoints, and what is special about them. */
const families: [string, string][] = [
  ['architectures/llama', 'grouped queries'],
  ['architectures/gpt2', 'learned positions'],
  ['architectures/gemma2', 'sliding window, soft-caps, post-norms'],
  ['architectures/gemma3_text', 'two rotary embeddings, head norms'],
  ['architectures/bloom', 'ALiBi, grouped projection'],
  ['architectures/mixtral', 'experts'],
  ['architectures/falcon_7b_style', 'parallel block with one norm'],
  ['architectures/gpt_neox', 'parallel block with two norms'],
  ['architectures/gpt_oss', 'sinks'],
  ['architectures/olmo2', 'norms behind sublayers, width norms'],
  ['variants/opt_post_norm', 'post-norm, projected embedding'],
  ['variants/llama_dynamic', 'rotary angles by length'],
]

const clean = [5, 17, 40, 23, 42, 7, 11, 34]
const corrupt = [5, 17, 31, 23, 42, 38, 11, 30]
const [positive, negative] = [20, 47]
const positions = [1, 2, 5, 7]

/** A size that is never measured. */
class FixedSize extends WaveSize {
  constructor(private readonly tokens: number) {
    super()
  }
  override next(): number {
    return this.tokens
  }
}

describe.each(families)('a sweep of %s (%s)', (name) => {
  let reference: ReferenceModel
  let model: PatchingModel
  let single: ReturnType<typeof patching>
  let scale: number
  beforeAll(async () => {
    reference = await openReferenceModel(path.join(casesFolder, name))
    model = patchingModel(reference)
    single = patching(reference, corrupt, clean)
    const ends = [await lastLogits(reference, corrupt), await lastLogits(reference, clean)]
    scale = Math.max(1, ...ends.map((logits) => Math.abs(difference(logits))))
  })
  afterAll(() => reference.close())

  const difference = (logits: Float32Array): number => logits[positive] - logits[negative]
  const request = (more: Partial<SweepRequestInput> & Pick<SweepRequestInput, 'target'>) =>
    sweepRequest.parse({
      pairs: [{ clean, corrupt }],
      metrics: [{ kind: 'logit-difference', positive: [positive], negative: [negative] }],
      ...more,
    })
  const has = (component: SweepComponent): boolean =>
    reference.spec.blocks.every((_, layer) =>
      hasHook(reference.spec, { layer, site: componentSites[component] }),
    )

  async function expectExact(places: PatchPlace[], got: Float32Array): Promise<void> {
    for (const [i, place] of places.entries()) {
      const want = difference(await single(place))
      expect(Math.abs(got[i] - want), JSON.stringify(place)).toBeLessThan(TOLERANCE * scale)
    }
  }

  it.each([
    'resid_pre',
    'resid_mid',
    'resid_post',
    'attn_out',
    'mlp_out',
    'q',
    'k',
    'v',
    'pattern',
    'neurons',
  ] as const)('gives for %s by layer and position what one run for each site gives', async (component) => {
    if (!has(component)) return
    const { raw, plan } = await sweep(model, request({ target: { kind: 'grid', component, positions } }))
    expect(raw.shape).toEqual([1, reference.spec.blocks.length, positions.length])
    expect(plan.axes[1]).toEqual({ name: 'position', values: positions })
    const places = plan.hooks.flatMap((hook) =>
      positions.map((position) => ({ hook, positions: [position] })),
    )
    await expectExact(places, raw.data)
  })

  it.each(['z', 'q', 'k', 'v', 'pattern'] as const)(
    'gives for %s by layer and head, at all positions and at one',
    async (component) => {
      const { raw, plan } = await sweep(model, request({ target: { kind: 'grid', component, by: ['head'] } }))
      const heads = plan.axes[1].values
      await expectExact(
        plan.hooks.flatMap((hook) => heads.map((head) => ({ hook, head }))),
        raw.data,
      )
      const some = { layers: [0, 1], positions: [2, 7] }
      const both = await sweep(
        model,
        request({ target: { kind: 'grid', component, by: ['position', 'head'], ...some } }),
      )
      expect(both.plan.axes.map((axis) => axis.name)).toEqual(['layer', 'head', 'position'])
      const places = both.plan.hooks.flatMap((hook) =>
        heads.flatMap((head) => some.positions.map((position) => ({ hook, head, positions: [position] }))),
      )
      await expectExact(places, both.raw.data)
    },
  )

  it('gives the same whatever the size of a wave, and as rows of ordinary runs', async () => {
    const target = {
      kind: 'sites',
      sites: [
        { hook: 'hook_embed', positions: [2] },
        { hook: 'blocks.0.hook_resid_pre', positions: [2, 5] },
        { hook: 'blocks.0.attn.hook_z', head: 1 },
        { hook: 'blocks.1.hook_resid_post', positions: [7] },
        { hook: 'blocks.1.attn.hook_k', positions: [2] },
        { hook: 'blocks.1.hook_mlp_out' },
        { hook: 'blocks.0.hook_attn_out', positions: [5], units: [0, 3] },
      ],
    } as const
    const sites = target.sites.map((site) => ({ ...site }) as PatchPlace)
    const all = request({ target: { kind: 'sites', sites } })
    const plain = await sweep(model, all)
    expect(plain.way).toBe('wave')
    await expectExact(sites, plain.raw.data)
    const others = [
      await sweep({ ...model, waveSize: new FixedSize(1) }, all),
      await sweep({ ...model, waveSize: new FixedSize(11) }, all),
      await sweep(patchingModel(reference, ordinary(reference)), all),
    ]
    expect(others[2].way).toBe('runs')
    for (const { raw } of others)
      raw.data.forEach((value, i) => expect(Math.abs(value - plain.raw.data[i])).toBeLessThan(TOLERANCE * 10))
  })
})
