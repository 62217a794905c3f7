import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { directAttribution } from '../../../main/analysis/attribution/direct'
import { relativeError, type Case } from '../../../main/analysis/parity/case'
import { directAttribution as schema } from '../../../preload/attribution'
import type { Tensor } from '../../../preload/tensor'
import { caseFolders, casesFolder } from '../../support/cases'
import { entry, openFamily, openForAttribution, openReference, type OpenedModel } from './reference'

const vector = (...values: number[]): Tensor => ({ shape: [values.length], data: Float32Array.from(values) })
const floats = (data: Float32Array): Tensor => ({ shape: [data.length], data })

describe.each(['gpt2', 'llama', 'gemma2'])('direct logit attribution on %s', (family) => {
  let model: OpenedModel
  let reference: Case
  beforeAll(async () => {
    model = await openFamily(family)
    reference = await openReference(family)
  })
  afterAll(async () => {
    await model.close()
    await reference.close()
  })

  it('gives the reference’s parts for both rows', async () => {
    const { tokA = NaN, tokB = NaN } = reference.reference
    const rows = await reference.tokens('input_ids')
    const metric = await reference.tensor('metric')
    for (const [row, tokens] of rows.entries()) {
      const result = await directAttribution(model, {
        tokens,
        positive: tokA,
        negative: tokB,
        position: 'last',
      })
      expect(schema.safeParse(result).error).toBeUndefined()
      const want = async (name: string): Promise<Tensor> => entry(await reference.tensor(`dla.${name}`), row)
      expect(relativeError(result.heads, await want('heads'))).toBeLessThan(1e-4)
      expect(relativeError(floats(result.attentionBias), await want('attn_bias'))).toBeLessThan(1e-4)
      expect(relativeError(floats(result.mlps), await want('mlp'))).toBeLessThan(1e-4)
      expect(relativeError(vector(result.embedding), await want('embed'))).toBeLessThan(1e-4)
      expect(relativeError(vector(result.total), await want('total'))).toBeLessThan(1e-4)
      expect(relativeError(vector(result.constant), await reference.tensor('dla.constant'))).toBeLessThan(
        1e-4,
      )
      const scale = entry(await reference.tensor('final_norm.scale'), row)
      expect(relativeError(vector(result.scale ?? NaN), scale)).toBeLessThan(1e-4)
      expect(result.logit).toBeCloseTo(metric.data[row], 4)
      expect(Math.abs(result.remainder)).toBeLessThan(1e-4)
    }
  })
})

describe('direct logit attribution', () => {
  it.each(caseFolders.map((folder) => [path.relative(casesFolder, folder), folder]))(
    'adds up to the logit on %s, whatever its norms and topology',
    async (_, folder) => {
      const model = await openForAttribution(folder)
      try {
        const tokens = [3, 17, 5, 40, 8]
        for (const negative of [null, 11])
          for (const position of ['last', 2] as const) {
            const result = await directAttribution(model, { tokens, positive: 7, negative, position })
            const size = Math.max(1, Math.abs(result.uncapped), ...result.mlps.map(Math.abs))
            expect(Math.abs(result.remainder) / size).toBeLessThan(1e-5)
          }
      } finally {
        await model.close()
      }
    },
  )

  it('splits an MLP into its neurons', async () => {
    for (const family of ['gpt2', 'gemma2']) {
      const model = await openFamily(family)
      const width = model.insides?.spec.blocks[1].mlp.width ?? 0
      const ask = (count: number) =>
        directAttribution(model, {
          tokens: [3, 17, 5, 40, 8],
          positive: 7,
          negative: 11,
          position: 'last',
          neurons: { layer: 1, count },
        })
      const [all, few] = [await ask(width), await ask(3)]
      const sum = all.neurons?.top.reduce((total, { contribution }) => total + contribution, 0) ?? NaN
      // What is left is the output bias, which GPT-2 has and Gemma has not.
      expect(sum + (all.neurons?.rest ?? NaN)).toBeCloseTo(all.mlps[1], 5)
      if (family === 'gemma2') expect(Math.abs(all.neurons?.rest ?? NaN)).toBeLessThan(1e-5)
      expect(few.neurons?.top).toEqual(all.neurons?.top.slice(0, 3))
      const sizes = all.neurons?.top.map(({ contribution }) => Math.abs(contribution)) ?? []
      expect(sizes).toEqual([...sizes].sort((a, b) => b - a))
      await model.close()
    }
  })

  it('refuses tokens outside the vocabulary, positions outside the prompt, layers and neurons that are not there', async () => {
    const model = await openFamily('mixtral')
    const ask = (change: object) =>
      directAttribution(model, { tokens: [3, 17, 5], positive: 7, negative: 11, position: 'last', ...change })
    await expect(ask({ negative: model.facts.vocab })).rejects.toThrow(/token \d+ is not in the vocabulary/)
    await expect(ask({ position: 3 })).rejects.toMatchObject({ code: 'input.invalid', field: 'position' })
    await expect(ask({ neurons: { layer: 9, count: 1 } })).rejects.toMatchObject({ field: 'layer' })
    await expect(ask({ neurons: { layer: 0, count: 1 } })).rejects.toThrow(/mixture of experts/)
    await expect(
      directAttribution(
        { ...model, insides: null },
        { tokens: [3], positive: 7, negative: null, position: 'last' },
      ),
    ).rejects.toMatchObject({ code: 'model.unsupported' })
    await model.close()
  })
})
