/** A dictionary spliced into storyworld: one that loses nothing, one that keeps nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Dictionary } from '../../../main/training/dictionary/dictionary'
import type { DictionaryConfig } from '../../../main/training/dictionary/config'
import { lossRecovered } from '../../../main/training/dictionary/splice'
import type { Tensor } from '../../../preload/tensor'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'
import { storyworld } from '../support'

let model: ReferenceModel
beforeAll(async () => {
  model = await openReferenceModel(storyworld)
})
afterAll(() => model.close())

const d = 128
/** relu(x) and relu(−x) as features: x is their difference. */
function mirror(factor: number, hook: string, outputHook: string | null = null): Promise<Dictionary> {
  const config: DictionaryConfig = {
    activation: 'standard',
    dIn: d,
    dOut: d,
    dSae: 2 * d,
    subtractDecoderBias: false,
    normalise: 'none',
    k: null,
    rescaleByDecoderNorm: false,
    transcoder: outputHook !== null,
    skip: false,
    hook,
    outputHook,
    joinsHeads: hook.endsWith('hook_z'),
    modelName: 'storyworld',
    prependBos: true,
  }
  const encoder = new Float32Array(d * 2 * d)
  const decoder = new Float32Array(2 * d * d)
  for (let i = 0; i < d; i++) {
    encoder[i * 2 * d + i] = 1
    encoder[i * 2 * d + d + i] = -1
    decoder[i * d + i] = factor
    decoder[(d + i) * d + i] = -factor
  }
  const weights = new Map<string, Tensor>([
    ['W_enc', { shape: [d, 2 * d], data: encoder }],
    ['W_dec', { shape: [2 * d, d], data: decoder }],
    ['b_enc', { shape: [2 * d], data: new Float32Array(2 * d) }],
    ['b_dec', { shape: [d], data: new Float32Array(d) }],
  ])
  return Dictionary.create({ config, weights })
}

const rows = [
  [0, 312, 417, 266, 500, 281],
  [0, 640, 302],
]

async function recovered(dictionary: Dictionary, firstPosition?: number) {
  const result = await lossRecovered({
    run: (input) => model.run(input),
    dictionary,
    model: model.fingerprint,
    rows,
    firstPosition,
  })
  await dictionary.release()
  return result
}

describe('a dictionary spliced into a model', () => {
  it.each(['blocks.1.hook_resid_post', 'blocks.2.hook_mlp_out', 'blocks.0.attn.hook_z'])(
    'recovers all of the loss at %s where it reconstructs exactly',
    async (hook) => {
      const { original, spliced, zeroed, recovered: share, tokens } = await recovered(await mirror(1, hook))
      expect(spliced).toBeCloseTo(original, 4)
      expect(share).toBeCloseTo(1, 3)
      expect(Math.abs(zeroed - original)).toBeGreaterThan(0.01)
      expect(tokens).toBe(7)
    },
  )

  it('recovers nothing where it gives zeros', async () => {
    const result = await recovered(await mirror(0, 'blocks.1.hook_resid_post'))
    expect(result.spliced).toBeCloseTo(result.zeroed, 4)
    expect(result.recovered).toBeCloseTo(0, 3)
  })

  it('leaves the first positions as they are when told so', async () => {
    const all = await recovered(await mirror(0, 'blocks.1.hook_resid_post'))
    const later = await recovered(await mirror(0, 'blocks.1.hook_resid_post'), 1)
    expect(later.original).toBe(all.original)
    expect(Math.abs(later.zeroed - all.zeroed)).toBeGreaterThan(0.01)
  })

  it('puts a transcoder’s output at its own hook point', async () => {
    const same = await mirror(1, 'blocks.1.hook_resid_mid', 'blocks.1.hook_resid_post')
    const { original, spliced } = await recovered(same)
    // The MLP of block 1 is thereby left out.
    expect(Math.abs(spliced - original)).toBeGreaterThan(0.01)
  })

  it('refuses texts without a next token, and a dictionary of nowhere', async () => {
    const run = (input: Parameters<ReferenceModel['run']>[0]) => model.run(input)
    const dictionary = await mirror(1, 'blocks.1.hook_resid_post')
    const request = { run, dictionary, model: model.fingerprint }
    await expect(lossRecovered({ ...request, rows: [[0]] })).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(lossRecovered({ ...request, rows: [] })).rejects.toMatchObject({ code: 'input.invalid' })
    const { config, weights } = dictionary
    const nowhere = await Dictionary.create({ config: { ...config, hook: null }, weights })
    await expect(lossRecovered({ ...request, dictionary: nowhere, rows })).rejects.toThrow(
      /at which hook point/,
    )
    await nowhere.release()
    await dictionary.release()
  })
})
