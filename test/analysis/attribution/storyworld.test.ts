/** Attribution on the embedded model, of which is known what it does: "… John gave a drink to" wants the other name. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { directAttribution } from '../../../main/analysis/attribution/direct'
import { edgeAttribution, type EdgeScoring } from '../../../main/analysis/attribution/edges/score'
import { faithfulness } from '../../../main/analysis/attribution/edges/faithfulness'
import { patch } from '../../../main/analysis/attribution/patch'
import { attributionPatching } from '../../../main/analysis/attribution/patching'
import { tokenAttribution } from '../../../main/analysis/attribution/tokens'
import { loadTokenizerFromFolder } from '../../../main/models/tokenizer'
import type { AttributionMetric } from '../../../preload/attribution'
import { storyworld } from '../naive-model'
import { allEdges, slope } from './edge-models'
import { openForAttribution, type OpenedModel } from './reference'

let model: OpenedModel
let clean: number[]
let corrupt: number[]
let metric: AttributionMetric
let scoring: EdgeScoring
beforeAll(async () => {
  model = await openForAttribution(storyworld)
  const tokenizer = await loadTokenizerFromFolder(storyworld)
  clean = await tokenizer.encode('When Mary and John went to the store, John gave a drink to')
  corrupt = await tokenizer.encode('When Mary and John went to the store, Mary gave a drink to')
  const [[positive], [negative]] = [await tokenizer.encode(' Mary'), await tokenizer.encode(' John')]
  await tokenizer.close()
  metric = { kind: 'logit-difference', positive, negative, position: 'last' }
  scoring = { clean, corrupt, metric, method: 'eap', steps: 8 }
})
afterAll(() => model.close())

const largestOf = (values: Float32Array, width: number): string => {
  const best = values.reduce((at, value, i) => (value > values[at] ? i : at), 0)
  return `${Math.floor(best / width)}.${best % width}`
}

describe('attribution on storyworld', () => {
  it('finds one head that writes the name, by its direct contribution and by patching, estimated and exact', async () => {
    if (metric.kind !== 'logit-difference') return
    const { positive, negative } = metric
    const direct = await directAttribution(model, { tokens: clean, positive, negative, position: 'last' })
    const { heads } = model.facts
    const writer = largestOf(direct.heads.data, heads)
    const [layer, head] = writer.split('.').map(Number)
    const request = { clean, corrupt, metric, direction: 'denoising' as const }
    const estimate = await attributionPatching(model, { ...request, sites: ['z'], neurons: 1 })
    const places = Array.from({ length: model.facts.layers * heads }, (_, i) => ({
      hook: `blocks.${Math.floor(i / heads)}.attn.hook_z`,
      head: i % heads,
    }))
    const exact = await patch(model, { ...request, places })
    const restored = exact.places[layer * heads + head].normalised ?? NaN
    expect(restored).toBeGreaterThan(0.5)
    // To first order, which saturation makes smaller: by how much depends on the training.
    expect(estimate.heads?.normalised?.data[layer * heads + head]).toBeGreaterThan(0)
  })

  it('gives most to the names, from the other prompt’s embeddings all to the one that differs', async () => {
    const result = await tokenAttribution(model, {
      tokens: clean,
      metric,
      method: 'integrated-gradients',
      baseline: { kind: 'prompt', tokens: corrupt },
      steps: 64,
    })
    const different = clean.findIndex((token, i) => token !== corrupt[i])
    result.scores.forEach((score, position) => {
      if (position !== different) expect(score).toBe(0)
    })
    const share = result.scores[different] / (result.metric - (result.baselineMetric ?? NaN))
    expect(share).toBeGreaterThan(0.95)
    expect(share).toBeLessThan(1.05)
  })

  it('scores edges by the slope of the metric along each, by brute force', async () => {
    const { edges } = await edgeAttribution(model, { ...scoring, top: 12 })
    for (const edge of edges)
      expect(Math.abs((await slope(model, scoring, edge)) / edge.score - 1)).toBeLessThan(0.05)
  })

  it('keeps most of the metric in a tenth of the edges, all in all, nothing in none', async () => {
    const count = allEdges(model).length
    const sizes = [0, Math.floor(count / 10), count]
    const { circuits } = await faithfulness(model, { ...scoring, circuits: sizes.map((top) => ({ top })) })
    const [none, tenth, all] = circuits.map((one) => one.faithfulness ?? NaN)
    expect(none).toBe(0)
    expect(all).toBeCloseTo(1, 5)
    expect(tenth).toBeGreaterThan(0.8)
    expect(tenth).toBeLessThan(1.2)
  })
})
