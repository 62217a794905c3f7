import { describe, expect, it } from 'vitest'
import { applyPreset } from '../../main/steering/apply'
import type { PresetSite } from '../../preload/preset'
import { runRequest } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { NaiveModel } from '../analysis/naive-model'
import { examplePreset } from './presets'

const model = new NaiveModel()
const tokens = model.ids('It was')
const hook = 'blocks.1.hook_resid_post'
/** Of length 5. */
const vector: Tensor = {
  shape: [128],
  data: Float32Array.from({ length: 128 }, (_, i) => (i === 3 ? 3 : i === 9 ? -4 : 0)),
}
const unit = [...vector.data].map((x) => x / 5)

const withSite = (site: Partial<PresetSite>) => {
  const preset = examplePreset()
  return examplePreset({ sites: [{ ...preset.sites[0], ...site }] })
}

async function stream(
  interventions: Parameters<typeof runRequest.parse>[0] = {},
  tensors: Record<string, Tensor> = {},
): Promise<number[]> {
  const request = runRequest.parse({
    model: model.facts.fingerprint,
    rows: [tokens],
    captures: [hook],
    ...(interventions as object),
  })
  return [...(await model.run({ request, tensors })).captures[hook].data]
}

/** The residual stream with a preset applied. */
async function steered(preset: ReturnType<typeof examplePreset>, strength: number): Promise<number[]> {
  const { interventions, tensors } = applyPreset(model, preset, strength, () => vector)
  return stream({ interventions }, tensors)
}

/** The formula on every position. */
async function expected(change: (x: number[]) => number[]): Promise<number[]> {
  const base = await stream()
  return tokens.flatMap((_, position) => change(base.slice(position * 128, (position + 1) * 128)))
}
const along = (x: number[]): number => x.reduce((sum, value, d) => sum + value * unit[d], 0)
const plus = (x: number[], factor: number): number[] => x.map((value, d) => value + factor * unit[d])

const equal = (a: number[], b: number[]): void => a.forEach((x, i) => expect(x).toBeCloseTo(b[i], 4))

describe('applyPreset', () => {
  it('adds the vector as it is stored', async () => {
    equal(await steered(examplePreset(), -2), await expected((x) => plus(x, -2 * 5)))
  })

  it('adds the vector scaled to length 1', async () => {
    const preset = examplePreset({ norm: { policy: 'unit', residualNorm: null } })
    equal(await steered(preset, 2), await expected((x) => plus(x, 2)))
  })

  it('adds the vector scaled to the residual stream as it was measured', async () => {
    const preset = examplePreset({ norm: { policy: 'relative', residualNorm: 40 } })
    equal(await steered(preset, 0.5), await expected((x) => plus(x, 20)))
  })

  it('removes the direction, whatever the vector’s length', async () => {
    equal(await steered(withSite({ operation: 'remove' }), 1), await expected((x) => plus(x, -along(x))))
    equal(
      await steered(withSite({ operation: 'remove' }), 0.25),
      await expected((x) => plus(x, -along(x) / 4)),
    )
  })

  it('clamps the direction to target times strength', async () => {
    equal(
      await steered(withSite({ operation: 'clamp', target: 6 }), 1.5),
      await expected((x) => plus(x, 9 - along(x))),
    )
    equal(
      await steered(withSite({ operation: 'clamp', target: 6 }), 0),
      await expected((x) => plus(x, -along(x))),
    )
  })

  it('changes nothing at strength 0 where it adds or removes', () => {
    for (const operation of ['add', 'remove'] as const)
      expect(applyPreset(model, withSite({ operation }), 0, () => vector)).toEqual({
        interventions: [],
        tensors: {},
      })
  })

  it('steers the rows and positions that are asked for', () => {
    const { interventions } = applyPreset(model, withSite({ positions: [1, 4] }), 1, () => vector, [1])
    expect(interventions).toMatchObject([{ hook, rows: [1], positions: [1, 4] }])
  })

  it('gives each site its own vector', () => {
    const [site] = examplePreset().sites
    const preset = examplePreset({ sites: [site, { ...site, hook: 'blocks.2.hook_resid_pre' }] })
    const { interventions, tensors } = applyPreset(model, preset, 1, (s) => ({
      shape: [128],
      data: new Float32Array(128).fill(s.hook.length),
    }))
    expect(
      interventions.map(({ hook: at, operation }) => [
        at,
        operation.kind === 'add' ? tensors[operation.value].data[0] : null,
      ]),
    ).toEqual([
      ['blocks.1.hook_resid_post', 24],
      ['blocks.2.hook_resid_pre', 23],
    ])
  })

  it('refuses a preset of another model, tokenizer or template, and says which model it was made for', () => {
    const made = examplePreset().model
    const other = [
      examplePreset({ model: { ...made, fingerprint: '6'.repeat(64), name: 'gpt2' } }),
      examplePreset({ model: { ...made, tokenizerHash: 'd'.repeat(64), name: 'gpt2' } }),
      examplePreset({
        model: { ...made, templateHash: null, name: 'gpt2' },
        prompting: { bos: 'model', template: 'chat' },
      }),
    ]
    for (const preset of other)
      expect(() => applyPreset(model, preset, 1, () => vector)).toThrow(
        expect.objectContaining({
          code: 'model.mismatch',
          message: expect.stringMatching(/gpt2 .*storyworld/) as string,
        }),
      )
    // A template that is not used may differ.
    expect(() =>
      applyPreset(model, examplePreset({ model: { ...made, templateHash: null } }), 1, () => vector),
    ).not.toThrow()
  })

  it('refuses sites that this model or this operation does not have', () => {
    const refused = (site: Partial<PresetSite>) => () => applyPreset(model, withSite(site), 1, () => vector)
    expect(refused({ hook: 'blocks.7.hook_resid_pre' })).toThrow(
      expect.objectContaining({ code: 'hook.unavailable' }),
    )
    expect(refused({ hook: 'nowhere' })).toThrow(expect.objectContaining({ code: 'hook.unknown' }))
    expect(refused({ hook: 'blocks.1.attn.hook_z' })).toThrow(
      expect.objectContaining({ code: 'hook.unavailable' }),
    )
  })

  it('refuses a vector of another width, a strength that is no number, and relative length without a length', () => {
    const narrow: Tensor = { shape: [64], data: new Float32Array(64) }
    const unmeasured = examplePreset({ norm: { policy: 'relative', residualNorm: null } })
    const refused = expect.objectContaining({ code: 'input.invalid' }) as Error
    expect(() => applyPreset(model, examplePreset(), 1, () => narrow)).toThrow(refused)
    expect(() => applyPreset(model, examplePreset(), NaN, () => vector)).toThrow(refused)
    expect(() => applyPreset(model, unmeasured, 1, () => vector)).toThrow(refused)
  })
})
