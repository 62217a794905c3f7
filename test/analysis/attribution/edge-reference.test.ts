/** Edges of a model with norms behind its sublayers, against float64 numbers that were computed with PyTorch. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { headWritings } from '../../../main/analysis/attribution/edges/head-writing'
import { insidesOf } from '../../../main/analysis/attribution/subject'
import { captureInput } from '../../../main/analysis/captures'
import { relativeError, type Case } from '../../../main/analysis/parity/case'
import { graphOf, scoresOf } from './edge-models'
import { openFamily, openReference, type OpenedModel } from './reference'

describe('edges of gemma2', () => {
  let model: OpenedModel
  let reference: Case
  let rows: number[][]
  beforeAll(async () => {
    model = await openFamily('gemma2')
    reference = await openReference('gemma2')
    rows = await reference.tokens('input_ids')
  })
  afterAll(async () => {
    await model.close()
    await reference.close()
  })

  it('begin with what the reference says that heads write behind the norm', async () => {
    const writings = await headWritings(insidesOf(model, 'this test'))
    for (const [layer, writing] of writings.entries()) {
      const hook = `blocks.${layer}.attn.hook_result`
      const want = await reference.tensor(`blocks.${layer}.attn.result_after_post_norm`)
      const got = new Float32Array(want.data.length)
      for (const [row, tokens] of rows.entries()) {
        const { captures } = await model.run(captureInput(model, tokens, [hook]))
        got.set(writing(captures[hook].data), (row * got.length) / rows.length)
      }
      expect(relativeError({ shape: want.shape, data: got }, want)).toBeLessThan(1e-5)
    }
  })

  it('add up, over all that is written before a block and read in it or later, to its input’s estimate', async () => {
    const { tokA = NaN, tokB = NaN } = reference.reference
    const metric = { kind: 'logit-difference', positive: tokA, negative: tokB, position: 'last' } as const
    const scores = await scoresOf(model, {
      clean: rows[0],
      corrupt: rows[1],
      metric,
      method: 'eap',
      steps: 1,
    })
    const graph = graphOf(model)
    const estimate = await reference.tensor('noising.resid_pre.estimate')
    const [layers, positions] = estimate.shape
    const sums = Float32Array.from({ length: layers }, (_, layer) =>
      graph.targets.reduce((sum, to, target) => {
        if (to.kind !== 'logits' && to.layer < layer) return sum
        const into = scores.subarray(graph.offsets[target], graph.offsets[target] + graph.before[layer])
        return sum + into.reduce((a, b) => a + b, 0)
      }, 0),
    )
    const want = Float32Array.from({ length: layers }, (_, layer) =>
      estimate.data.subarray(layer * positions, (layer + 1) * positions).reduce((a, b) => a + b, 0),
    )
    expect(relativeError({ shape: [layers], data: sums }, { shape: [layers], data: want })).toBeLessThan(1e-4)
  })
})
