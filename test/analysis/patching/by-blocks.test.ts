/**
 * Path patching and scrubbing go through the model block by block where they can, and leave out what does not change. Here
 * against ordinary runs of the whole model, which other tests hold against loops.
 */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { patchPaths } from '../../../main/analysis/patching/paths'
import { scrub } from '../../../main/analysis/patching/scrub'
import type { PatchingModel } from '../../../main/analysis/patching/subject'
import type { PatchPlace } from '../../../preload/attribution'
import {
  pathRequest,
  scrubRequest,
  type PathRequestInput,
  type SweepMetricInput,
} from '../../../preload/sweep'
import { casesFolder } from '../../support/cases'
import { ordinary, patchingModel } from '../../support/patching-model'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const clean = [5, 17, 40, 23, 42, 7]
const corrupt = [5, 17, 31, 23, 42, 38]
const metrics: SweepMetricInput[] = [{ kind: 'logit-difference', positive: [20], negative: [47] }]
/** Of a metric whose size is about 1. */
const TOLERANCE = 2e-5

const families = [
  ['architectures/llama', 'sequential'],
  ['architectures/gpt_neox', 'parallel'],
  ['architectures/gemma2', 'norms behind sublayers'],
  ['variants/opt_post_norm', 'post-norm'],
  ['variants/llama_dynamic', 'rotary angles by length'],
] as const

describe.each(families)('in %s (%s)', (name) => {
  let reference: ReferenceModel
  let blocks: PatchingModel
  let runs: PatchingModel
  let last: number
  beforeAll(async () => {
    reference = await openReferenceModel(path.join(casesFolder, name))
    blocks = patchingModel(reference)
    runs = patchingModel(reference, ordinary(reference))
    last = reference.spec.blocks.length - 1
  })
  afterAll(() => reference.close())

  const senders = ['z', 'mlp_out', 'resid_pre'] as const
  it.each(
    senders.flatMap((component) =>
      (['heads-and-mlps', 'heads'] as const).map((frozen) => ({ component, frozen })),
    ),
  )('paths from $component with $frozen frozen are those of ordinary runs', async ({ component, frozen }) => {
    const receiverSets: PatchPlace[][] = [
      [{ hook: `blocks.${last}.hook_resid_post` }],
      [
        { hook: `blocks.${last}.attn.hook_k`, positions: [2, 3] },
        { hook: `blocks.${last}.attn.hook_k`, head: 0 },
      ],
      [
        { hook: `blocks.${last}.mlp.hook_post`, positions: [5] },
        { hook: `blocks.${last - 1}.attn.hook_q`, head: 1 },
      ],
      [{ hook: `blocks.${last}.attn.hook_pattern`, head: 0 }],
    ]
    let moved = 0
    for (const receivers of receiverSets) {
      const request: PathRequestInput = {
        pairs: [{ clean, corrupt }],
        target: { kind: 'grid', component, by: component === 'z' ? ['head'] : ['position'] },
        receivers,
        frozen,
        metrics,
      }
      const [ours, theirs] = [
        await patchPaths(blocks, pathRequest.parse(request)),
        await patchPaths(runs, pathRequest.parse(request)),
      ]
      expect([ours.way, theirs.way]).toEqual(['wave', 'runs'])
      ours.raw.data.forEach((value, i) => {
        expect(Math.abs(value - theirs.raw.data[i])).toBeLessThan(TOLERANCE)
        moved = Math.max(moved, Math.abs(theirs.raw.data[i] - theirs.plan.ends[0].corrupt))
      })
    }
    expect(moved).toBeGreaterThan(20 * TOLERANCE)
  })

  it.each<{ components: ('z' | 'attn_out' | 'mlp_out')[] }>([
    { components: ['z', 'mlp_out'] },
    { components: ['attn_out', 'mlp_out'] },
    { components: ['z'] },
  ])('kept sets of $components are those of ordinary runs', async ({ components }) => {
    const hooks = Array.from({ length: last + 1 }, (_, layer) =>
      components.map((one) => `blocks.${layer}.${one === 'z' ? 'attn.hook_z' : `hook_${one}`}`),
    )
    const request = scrubRequest.parse({
      pairs: [
        { clean, corrupt },
        { clean, corrupt: [...corrupt, 9], alignment: 'auto' },
      ],
      source: { kind: 'prompt' },
      components,
      keep: [
        [],
        hooks[0].map((hook) => ({ hook })),
        hooks[last].map((hook) => ({ hook, positions: [3, 5] })),
        [{ hook: hooks[1][0] }],
        hooks.flat().map((hook) => ({ hook })),
      ],
      metrics,
    })
    const [ours, theirs] = [await scrub(blocks, request), await scrub(runs, request)]
    ours.circuits.forEach(({ mean, kept, replaced }, i) => {
      expect(Math.abs(mean[0] - theirs.circuits[i].mean[0])).toBeLessThan(TOLERANCE)
      expect([kept, replaced]).toEqual([theirs.circuits[i].kept, theirs.circuits[i].replaced])
    })
    // Sets differ in what they leave.
    expect(new Set(theirs.circuits.map(({ mean }) => mean[0].toFixed(3))).size).toBeGreaterThan(2)
  })
})
