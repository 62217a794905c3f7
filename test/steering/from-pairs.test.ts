import { describe, expect, it } from 'vitest'
import { presetFromPairs, type PairsRecipe } from '../../main/steering/from-pairs'
import { idFromName } from '../../main/steering/preset-store'
import { decodeVectorFile } from '../../main/steering/vector-file'
import { meanDifference } from '../../main/steering/vectors'
import { preset as presetSchema } from '../../preload/preset'
import { NaiveModel } from '../analysis/naive-model'

const model = new NaiveModel()
const recipe = (changes: Partial<PairsRecipe> = {}): PairsRecipe => ({
  hook: 'blocks.1.hook_out',
  pairs: [{ positive: 'I loved it.', negative: 'I hated it.' }],
  position: 'mean',
  name: 'Très gentil! 你好',
  author: 'A. Reader',
  note: 'A note.',
  bos: 'model',
  template: 'none',
  positions: 'generated',
  ...changes,
})
const created = '2026-02-03T04:05:06Z'

describe('presetFromPairs', () => {
  it('makes a valid preset that says how it was made', async () => {
    const { preset, vectors, measured } = await presetFromPairs(model, recipe(), created)
    expect(presetSchema.safeParse(preset).error).toBeUndefined()
    expect(preset).toMatchObject({
      id: 'tres-gentil',
      name: 'Très gentil! 你好',
      created,
      model: {
        fingerprint: model.facts.fingerprint,
        name: 'storyworld',
        tokenizerHash: model.facts.tokenizerHash,
      },
      sites: [{ hook: 'blocks.1.hook_resid_post', operation: 'add', positions: 'generated' }],
      norm: { policy: 'as-is', residualNorm: measured.residualNorm },
      origin: { method: 'mean-difference', pairs: 1, position: 'mean' },
    })
    expect([...decodeVectorFile(vectors[0], preset.sites[0]).data]).toEqual([...measured.vector])
  })

  it('reads the pairs as plain texts', async () => {
    const { measured } = await presetFromPairs(model, recipe(), created)
    const [positive, negative] = ['I loved it.', 'I hated it.'].map((text) => ({
      tokens: model.ids(text),
      skip: 0,
    }))
    const direct = await meanDifference(model, 'blocks.1.hook_resid_post', [{ positive, negative }], 'mean')
    expect([...measured.vector]).toEqual([...direct.vector])
  })

  it('reads them as messages in the chat template where it is to be used in chats', async () => {
    const before = model.requests.length
    await presetFromPairs(model, recipe({ template: 'chat' }), created)
    const [request] = model.requests.slice(before)
    expect(request.rows).toContainEqual(model.ids('<|endoftext|><|user|> I loved it. <|bot|>'))
  })

  it('leaves a first special token out of the mean', async () => {
    const { measured } = await presetFromPairs(model, recipe({ bos: 'always' }), created)
    const [positive, negative] = ['I loved it.', 'I hated it.'].map((text) => ({
      tokens: model.ids(`<|endoftext|>${text}`),
      skip: 1,
    }))
    const direct = await meanDifference(model, 'blocks.1.hook_resid_post', [{ positive, negative }], 'mean')
    expect([...measured.vector]).toEqual([...direct.vector])
  })

  it('makes the same preset again from the same pairs, and another hash from others', async () => {
    const [first, again, other] = await Promise.all([
      presetFromPairs(model, recipe(), created),
      presetFromPairs(model, recipe(), created),
      presetFromPairs(
        model,
        recipe({ pairs: [{ positive: 'It was great.', negative: 'It was poor.' }] }),
        created,
      ),
    ])
    expect(again.preset).toEqual(first.preset)
    expect(other.preset.origin.pairsHash).not.toBe(first.preset.origin.pairsHash)
  })
})

describe('idFromName', () => {
  it('makes an id of any name', () => {
    for (const name of ['Kindness', '  ../../etc ', '你好', '-', 'x'.repeat(300), 'A  B'])
      expect(idFromName(name)).toMatch(/^[a-z0-9][a-z0-9-]{0,79}$/)
    expect(idFromName('A  B')).toBe('a-b')
    expect(idFromName('你好')).toBe('preset')
  })
})
