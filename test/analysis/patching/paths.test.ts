/** Path patching and scrubbing against implementations that go head by head through ordinary runs. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { patchPaths } from '../../../main/analysis/patching/paths'
import { scrub } from '../../../main/analysis/patching/scrub'
import { senderRequest } from '../../../main/analysis/patching/site-request'
import type { PatchingModel } from '../../../main/analysis/patching/subject'
import type { PatchPlace } from '../../../preload/attribution'
import { runRequest, type InterventionInput } from '../../../preload/run'
import { pathRequest, scrubRequest } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import { casesFolder } from '../../support/cases'
import { part } from '../../support/one-at-a-time'
import { patchingModel } from '../../support/patching-model'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const clean = [5, 17, 40, 23, 42, 7]
const corrupt = [5, 17, 31, 23, 42, 38]
const [positive, negative] = [20, 47]
const metrics = [{ kind: 'logit-difference', positive: [positive], negative: [negative] } as const]

describe.each(['gpt2', 'gemma2', 'gpt_neox'])('in %s', (name) => {
  let reference: ReferenceModel
  let model: PatchingModel
  let layers: number
  beforeAll(async () => {
    reference = await openReferenceModel(path.join(casesFolder, 'architectures', name))
    model = patchingModel(reference)
    layers = reference.spec.blocks.length
  })
  afterAll(() => reference.close())

  /** One run in which places hold given values. */
  async function run(
    tokens: number[],
    changes: { place: PatchPlace; value: Tensor }[],
    captures: string[] = [],
  ): Promise<{ metric: number; captures: Record<string, Tensor> }> {
    const interventions = changes.map(({ place }, i): InterventionInput => ({
      hook: place.hook,
      positions: place.positions ?? 'all',
      heads: place.head === undefined ? undefined : [place.head],
      units: place.units,
      operation: { kind: 'replace', value: `${i}` },
    }))
    const { logits, captures: captured } = await reference.run({
      request: runRequest.parse({ model: reference.fingerprint, rows: [tokens], captures, interventions }),
      tensors: Object.fromEntries(changes.map(({ value }, i) => [`${i}`, value])),
    })
    return { metric: (logits?.data[positive] ?? 0) - (logits?.data[negative] ?? 0), captures: captured }
  }

  const hooksOf = (sites: string[]): string[] =>
    Array.from({ length: layers }, (_, layer) => sites.map((site) => `blocks.${layer}.${site}`)).flat()

  it.each(['heads-and-mlps', 'heads'] as const)(
    'patches paths from heads to receivers as a loop does, with %s frozen',
    async (frozen) => {
      const last = layers - 1
      const receiverSets: PatchPlace[][] = [
        [{ hook: `blocks.${last}.hook_resid_post` }],
        [
          { hook: `blocks.${last}.attn.hook_q`, head: 1 },
          { hook: `blocks.${last}.attn.hook_v`, positions: [2, 3] },
        ],
      ]
      const sites = frozen === 'heads' ? ['attn.hook_z'] : ['attn.hook_z', 'hook_mlp_out']
      const base = (await run(corrupt, [], hooksOf(['attn.hook_z', 'hook_mlp_out']))).captures
      const source = (await run(clean, [], hooksOf(['attn.hook_z']))).captures
      const heads = reference.spec.blocks[0].attention.heads
      for (const receivers of receiverSets) {
        const request = pathRequest.parse({
          pairs: [{ clean, corrupt }],
          target: { kind: 'grid', component: 'z', by: ['head'] },
          receivers,
          frozen,
          metrics,
        })
        const { raw } = await patchPaths(model, request)
        for (let layer = 0; layer < layers; layer++)
          for (let head = 0; head < heads; head++) {
            const sender = { hook: `blocks.${layer}.attn.hook_z`, head }
            const fixed = hooksOf(sites).map((hook) => ({
              place: { hook },
              value: part(base[hook], { hook }),
            }))
            const sent = { place: sender, value: part(source[sender.hook], sender) }
            const heard = await run(
              corrupt,
              [...fixed, sent],
              receivers.map(({ hook }) => hook),
            )
            const changes = receivers.map((place) => ({
              place,
              value: part(heard.captures[place.hook], place),
            }))
            const { metric } = await run(corrupt, changes)
            expect(Math.abs(raw.data[layer * heads + head] - metric)).toBeLessThan(5e-5)
          }
      }
    },
  )

  it('gives the second run of a sender as a request of its own', async () => {
    const last = layers - 1
    const request = pathRequest.parse({
      pairs: [
        { clean, corrupt },
        { clean: corrupt, corrupt: clean, noise: { positions: [1], std: 0.5, seed: 2 } },
      ],
      target: { kind: 'grid', component: 'z', by: ['head'] },
      receivers: [
        { hook: `blocks.${last}.attn.hook_q`, head: 1 },
        { hook: `blocks.${last}.attn.hook_v`, positions: [2, 3] },
      ],
      metrics,
    })
    const { raw } = await patchPaths(model, request)
    for (const index of [0, 2]) {
      let mean = 0
      for (const which of [0, 1]) {
        const input = await senderRequest(model, request, { index, which })
        expect(input.base).toBe(which)
        expect(input.request.interventions.slice(which).map(({ hook }) => hook)).toEqual(
          request.receivers.map(({ hook }) => hook),
        )
        const { logits } = await reference.run(input)
        mean += ((logits?.data[positive] ?? 0) - (logits?.data[negative] ?? 0)) / 2
      }
      expect(Math.abs(raw.data[index] - mean)).toBeLessThan(5e-5)
    }
    await expect(senderRequest(model, request, { index: 999, which: 0 })).rejects.toThrow('no site 999')
    await expect(senderRequest(model, request, { index: 0, which: 2 })).rejects.toThrow('no pair 2')
  })

  it('keeps a set of components and replaces all others', async () => {
    const keep = [
      [],
      [
        { hook: 'blocks.0.attn.hook_z', head: 1 },
        { hook: 'blocks.1.hook_mlp_out', positions: [5] },
      ],
      hooksOf(['attn.hook_z', 'hook_mlp_out']).map((hook) => ({ hook })),
    ]
    const request = scrubRequest.parse({
      pairs: [{ clean, corrupt }],
      source: { kind: 'prompt' },
      keep,
      metrics,
    })
    const { circuits, ends } = await scrub(model, request)
    const hooks = hooksOf(['attn.hook_z', 'hook_mlp_out'])
    const source = (await run(corrupt, [], hooks)).captures
    // Everything that is not kept, head by head and position by position.
    const heads = reference.spec.blocks[0].attention.heads
    const pieces = hooks.flatMap((hook): PatchPlace[] =>
      clean.flatMap((_, position) =>
        hook.endsWith('hook_z')
          ? Array.from({ length: heads }, (_, head) => ({ hook, head, positions: [position] }))
          : [{ hook, positions: [position] }],
      ),
    )
    for (const [i, places] of keep.entries()) {
      const kept = (piece: PatchPlace): boolean =>
        places.some(
          (place: PatchPlace) =>
            place.hook === piece.hook &&
            (place.head === undefined || place.head === piece.head) &&
            (place.positions === undefined || place.positions.includes(piece.positions?.[0] ?? -1)),
        )
      const changes = pieces
        .filter((piece) => !kept(piece))
        .map((place) => ({ place, value: part(source[place.hook], place) }))
      expect(circuits[i].mean[0]).toBeCloseTo((await run(clean, changes)).metric, 4)
    }
    expect(circuits[2].replaced).toBe(0)
    expect(circuits[0].replaced).toBe(layers * (reference.spec.blocks[0].attention.heads + 1))
    expect(circuits[2].normalised[0]).toBeCloseTo(1, 3)
    expect(ends[0].problem).toBeNull()
  })

  it('refuses receivers that are frozen, and those before every sender', async () => {
    const ask = (hook: string, senders: number) =>
      patchPaths(
        model,
        pathRequest.parse({
          pairs: [{ clean, corrupt }],
          target: { kind: 'grid', component: 'z', layers: [senders] },
          receivers: [{ hook }],
          metrics,
        }),
      )
    await expect(ask('blocks.1.attn.hook_z', 0)).rejects.toThrow('stays as in the base run')
    await expect(ask('blocks.0.attn.hook_q', 1)).rejects.toThrow('before every sender')
  })
})
