import { describe, expect, it } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import type { NextTokens } from '../../../preload/views'
import { useHookChoice } from '../../../renderer/stores/hook-choice'
import { useInspector } from '../../../renderer/stores/inspector'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useSelection } from '../../../renderer/stores/selection'
import { useView } from '../../../renderer/stores/view'
import { attentionChange } from '../../../renderer/views/patch/attention-change'
import { continuationSteps } from '../../../renderer/views/patch/continuation'
import { firstAttention, placeAt, placeText } from '../../../renderer/views/patch/place'
import {
  distributionOf,
  likeliest,
  probabilities,
  shownIds,
} from '../../../renderer/views/patch/site-distribution'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { settle, type MountedView } from '../support/mount-view'
import { asked, button, patchView } from '../support/patch-view'
import { syntheticToken } from '../support/synthetic-model'

describe('a patched distribution', () => {
  it('is the softmax of its logits, also of large ones', () => {
    const p = probabilities(Float32Array.of(1000, 1000 + Math.log(3)))
    expect(p[0]).toBeCloseTo(0.25, 4)
    expect(likeliest(p, 1)).toEqual([1])
  })
})

describe('a closer look', () => {
  const next = (ids: number[]) =>
    ({ top: ids.map((id, i) => ({ ...syntheticToken(id), probability: 0.5 - i / 10 })) }) as NextTokens
  it('shows what the patched run, the base and the other prompt expect most, what is unknown as gaps', () => {
    const rows = { patched: Float64Array.of(0.1, 0.2, 0.7), base: Float64Array.of(0.6, 0.4, 0) }
    expect(shownIds(rows, next([2]))).toEqual([2, 1, 0])
    expect(distributionOf([2, 0].map(syntheticToken), rows, next([2]))).toEqual({
      patched: [0.7, 0.1],
      base: [0, 0.6],
      other: [0.5, NaN],
    })
    expect(distributionOf([syntheticToken(1)], rows, null).other).toEqual([NaN])
  })

  it('is the difference of one head’s patterns, blank behind the query', () => {
    // [2, 2, 2, 2]: patched then base; head 1 is asked for.
    const data = Float32Array.of(1, 0, 0.5, 0.5, 1, 0, 0.75, 0.25, 1, 0, 0.5, 0.5, 1, 0, 0.25, 0.75)
    expect([...attentionChange({ shape: [2, 2, 2, 2], data }, 1)]).toEqual([0, NaN, 0.5, -0.5])
    // Only the queries that a patch at the last position can change.
    expect([...attentionChange({ shape: [2, 2, 2, 2], data }, 1, 1)]).toEqual([0.5, -0.5])
  })

  it('begins with the first layer whose attention it can reach', () => {
    expect(firstAttention('blocks.1.hook_resid_pre', 4)).toBe(1)
    expect(firstAttention('blocks.1.attn.hook_k', 4)).toBe(1)
    expect(firstAttention('blocks.1.attn.hook_z', 4)).toBe(2)
    expect(firstAttention('blocks.3.hook_mlp_out', 4)).toBe(3)
  })

  it('steps through two continuations, of which one may have ended', () => {
    const row = (tokens: number[]) => ({ tokens, text: '', finish: 'eos' as const })
    const steps = continuationSteps([row([4, 5]), row([4])], [4, 5].map(syntheticToken))
    expect(steps.map(({ steered, baseline }) => [steered?.id, baseline?.id])).toEqual([
      [4, 4],
      [5, undefined],
    ])
  })
})

describe('the place of a site', () => {
  const layers = { name: 'layer' as const, values: [0, 1, 2] }
  const hooks = [0, 1, 2].map((layer) => `blocks.${layer}.attn.hook_z`)

  it('has a layer and a position, or a head', () => {
    const axes = [layers, { name: 'head' as const, values: [0, 1] }]
    const place = placeAt({ axes, shape: [3, 2], hooks }, 3)
    expect(place).toEqual({
      index: 3,
      hook: hooks[1],
      layer: 1,
      head: 1,
      position: null,
      feature: null,
      neuron: null,
    })
    expect(placeText(place)).toBe('blocks.1.attn.hook_z, head 1')
  })

  it('has all three in a grid of one layer', () => {
    const axes = [
      { name: 'layer' as const, values: [2] },
      { name: 'head' as const, values: [0, 1] },
      { name: 'position' as const, values: [0, 1, 2] },
    ]
    expect(placeAt({ axes, shape: [1, 2, 3], hooks: [hooks[2]] }, 5)).toEqual({
      index: 5,
      hook: hooks[2],
      layer: 2,
      head: 1,
      position: 2,
      feature: null,
      neuron: null,
    })
  })

  it('is that of the list, where single neurons are listed', () => {
    const hook = 'blocks.1.mlp.hook_post'
    const sites = [
      { hook: 'blocks.0.mlp.hook_post', units: [3], positions: [2] },
      { hook, units: [7], positions: [4] },
    ]
    const axes = [{ name: 'site' as const, values: [0, 1] }]
    const place = placeAt({ axes, shape: [2], hooks: sites.map((site) => site.hook) }, 1, sites)
    expect(place).toMatchObject({ hook, layer: 1, position: 4, neuron: 7, head: null })
    expect(placeText(place)).toBe('blocks.1.mlp.hook_post, neuron 7, position 4')
  })
})

describe('the place of a feature', () => {
  it('has the hook point of its dictionary, and that one’s layer', () => {
    const axes = [
      { name: 'feature' as const, values: [7, 90] },
      { name: 'position' as const, values: [0, 1, 2] },
    ]
    const place = placeAt({ axes, shape: [2, 3], hooks: ['blocks.2.hook_resid_post'] }, 4)
    expect(place).toMatchObject({ layer: 2, position: 1, feature: 90 })
    expect(placeText(place)).toBe('blocks.2.hook_resid_post, feature 90, position 1')
  })
})

describe('a closer look at a place', () => {
  withLayout()
  const { open } = patchView()

  /** Looks closer at the residual stream before layer 1, position 2. */
  async function look(opened: MountedView): Promise<void> {
    useSelection().select({ layer: 1, position: 2 })
    await settle()
    const map = opened.view.get('[aria-label^="Patching: Residual stream"]')
    await map.trigger('focus')
    await map.trigger('keydown', { key: 'Enter' })
    await settle(16)
  }
  async function tab(opened: MountedView, name: string): Promise<void> {
    const found = opened.view.findAll('[role="tab"]').find((candidate) => candidate.text() === name)
    if (found === undefined) throw new Error(`no tab ${name}`)
    await found.trigger('mousedown', { button: 0 })
    await settle(16)
  }

  it('patches the clicked place and shows its distribution against both prompts', async () => {
    const opened = await open()
    await look(opened)
    const positions = usePrompt().slots.B.tokens?.length ?? 0
    expect(asked(opened, 'sweep.site')[0].site).toBe(positions + 2)
    expect(asked(opened, 'run.execute')[0].request.logits).toBe('last')
    expect(opened.view.find('[aria-label^="Next-token probabilities: patched"]').exists()).toBe(true)
    expect(useInspector().subject?.rows).toContainEqual(
      expect.objectContaining({ label: 'Place', value: 'blocks.1.hook_resid_pre, position 2' }),
    )
  })

  it('shows what a patch changes in attention, from one run of both', async () => {
    const opened = await open()
    await look(opened)
    await tab(opened, 'Attention')
    const { request } = asked(opened, 'run.execute').at(-1) ?? {}
    expect(request?.captures).toEqual(['blocks.1.attn.hook_pattern'])
    expect(request?.rows).toHaveLength(2)
    expect(request?.rows[0]).toEqual(request?.rows[1])
    expect(request?.interventions.map(({ rows }) => rows)).toEqual([[0]])
    expect(opened.view.find('[aria-label^="Layer 1, head 0: attention, patched − base"]').exists()).toBe(true)
    expect(await violations(opened.view.element as Element)).toEqual([])
  })

  it('goes on writing with the patch, beside what is written without', async () => {
    const opened = await open()
    await look(opened)
    await tab(opened, 'Continuation')
    const { request, tensors } = asked(opened, 'generate.execute')[0]
    expect(request.maxTokens).toBe(12)
    expect(request.rows.map(({ tokens }) => tokens)).toEqual([
      usePrompt().slots.B.tokens,
      usePrompt().slots.B.tokens,
    ])
    expect(request.interventions.map(({ rows }) => rows)).toEqual([[0]])
    expect(Object.keys(tensors)).toEqual(['source'])
    const written = (title: string) =>
      opened.view
        .get(`[aria-label="${title}: continuation"]`)
        .findAll('.text')
        .map((word) => word.text())
    expect(written('Patched')).toHaveLength(12)
    const differing = written('Patched').flatMap((word, i) => (word === written('As it is')[i] ? [] : [i]))
    expect(differing).toEqual([1])
    expect(await violations(opened.view.element as Element)).toEqual([])
  })

  it('shows an error of a closer look with its next step', async () => {
    const opened = await open({
      'sweep.site': () => {
        throw new PatchbayError('input.invalid', 'The position has no partner.', {
          next: 'Choose another site.',
        })
      },
    })
    await look(opened)
    expect(opened.view.text()).toContain('The position has no partner.')
    expect(opened.view.text()).toContain('Choose another site.')
  })

  it('shows the selected place in the Layers and Prompt views', async () => {
    const opened = await open()
    expect(button(opened, 'Show in Layers').attributes('disabled')).toBeDefined()
    await look(opened)
    useSelection().select({ layer: 3, position: 0 })
    await button(opened, 'Show in Layers').trigger('click')
    expect(useView().current).toBe('layers')
    expect(useHookChoice().hook?.name).toBe('blocks.1.hook_resid_pre')
    expect(useSelection().current).toMatchObject({ layer: 1, point: 1, position: 2 })
    await button(opened, 'Show in Prompt').trigger('click')
    expect(useView().current).toBe('prompt')
  })

  it('leaves the position alone where the clean prompt has others', async () => {
    const opened = await open({}, 'When Mary and John went to the old park , Mary gave a drink to')
    await look(opened)
    useSelection().select({ position: 0 })
    await button(opened, 'Show in Prompt').trigger('click')
    expect(useSelection().current).toMatchObject({ layer: 1, position: 0 })
  })
})
