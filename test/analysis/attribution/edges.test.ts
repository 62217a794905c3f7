import { describe, expect, it } from 'vitest'
import { faithfulness as faithfulnessOf } from '../../../main/analysis/attribution/edges/faithfulness'
import { EdgeNumbers } from '../../../main/analysis/attribution/edges/graph'
import { captureInput } from '../../../main/analysis/captures'
import { faithfulness as schema, type Circuit, type Edge } from '../../../preload/attribution'
import { runRequest } from '../../../preload/run'
import { allEdges, families, graphOf, pair, withModel } from './edge-models'

describe('the edge graph', () => {
  it('numbers every edge once, and finds it by its ends', () =>
    withModel('falcon_new_decoder', (model) => {
      const graph = graphOf(model)
      const numbers = new EdgeNumbers(graph)
      const edges = allEdges(model)
      expect(edges.map((edge) => numbers.of(edge))).toEqual(edges.map((_, i) => i))
      const { layers, heads, kvHeads } = model.facts
      const perLayer = heads + 2 * kvHeads + 1
      // A parallel block's parts all see what is before the block.
      const before = Array.from({ length: layers }, (_, layer) => 1 + layer * (heads + 1))
      const expected = before.reduce((sum, count) => sum + count * perLayer, 0) + 1 + layers * (heads + 1)
      expect(graph.count).toBe(expected)
      return Promise.resolve()
    }))

  it('refuses edges against the order of computation, and models whose parts do not add up', async () => {
    await withModel('llama', (model) => {
      const numbers = new EdgeNumbers(graphOf(model))
      const backwards: Edge = { from: { kind: 'mlp', layer: 1 }, to: { kind: 'q', layer: 1, head: 0 } }
      expect(() => numbers.of(backwards)).toThrow(/no edge from mlp 1 to q 1.0/)
      return Promise.resolve()
    })
    await withModel('mpt', async (model) => {
      const { insides } = model
      if (insides === null) throw new Error('it has no insides')
      const [first, ...rest] = insides.spec.blocks
      const clipped = { ...first, attention: { ...first.attention, clip: 6 } }
      const other = {
        ...model,
        insides: { ...insides, spec: { ...insides.spec, blocks: [clipped, ...rest] } },
      }
      await expect(faithfulnessOf(other, { ...pair, circuits: [{ top: 0 }] })).rejects.toMatchObject({
        code: 'model.unsupported',
        message: expect.stringContaining('clips') as string,
      })
    })
  })
})

describe('faithfulness', () => {
  it.each(families)('is 1 with all edges and 0 with none on %s', (family) =>
    withModel(family, async (model) => {
      const edges = allEdges(model)
      const circuits: Circuit[] = [{ edges }, { top: edges.length }, { edges: [] }, { top: 0 }]
      const result = await faithfulnessOf(model, { ...pair, circuits })
      expect(schema.safeParse(result).error).toBeUndefined()
      const [all, most, none, zero] = result.circuits
      expect(all.faithfulness).toBeCloseTo(1, 4)
      expect(most).toEqual({ ...all, edges: edges.length })
      expect(none).toEqual({ edges: 0, metric: result.ends.corrupt, faithfulness: 0 })
      expect(zero).toEqual(none)
    }),
  )

  it('leaves the metric of corrupt where no path leads from the embedding to the logits', () =>
    withModel('llama', async (model) => {
      const broken = allEdges(model).filter(({ from }) => from.kind !== 'embed')
      const { circuits } = await faithfulnessOf(model, { ...pair, circuits: [{ edges: broken }] })
      expect(circuits[0].faithfulness).toBeCloseTo(0, 4)
    }))

  it('equals a run that subtracts one source from the final residual stream, where only that edge is cut', () =>
    withModel('llama', async (model) => {
      const edges = allEdges(model)
      const cut = edges.filter(
        ({ from, to }) => !(to.kind === 'logits' && from.kind === 'mlp' && from.layer === 1),
      )
      const { circuits } = await faithfulnessOf(model, { ...pair, circuits: [{ edges: cut }] })
      const hooks = ['blocks.1.hook_resid_post', 'blocks.1.hook_mlp_out']
      const clean = await model.run(captureInput(model, pair.clean, hooks))
      const corrupt = await model.run(captureInput(model, pair.corrupt, hooks))
      const residual = clean.captures[hooks[0]]
      const [from, to] = [clean.captures[hooks[1]], corrupt.captures[hooks[1]]]
      const start = { ...residual, data: residual.data.map((x, i) => x - from.data[i] + to.data[i]) }
      const request = runRequest.parse({
        model: model.facts.fingerprint,
        rows: [pair.clean],
        start: { layer: 2, residual: 'residual' },
      })
      const { logits } = await model.run({ request, tensors: { residual: start } })
      expect(circuits[0].metric).toBeCloseTo((logits?.data[7] ?? NaN) - (logits?.data[11] ?? NaN), 5)
    }))

  it('equals patching a head’s queries for real, where exactly the edges into them are cut', () =>
    withModel('llama', async (model) => {
      const cut = allEdges(model).filter(({ to }) => !(to.kind === 'q' && to.layer === 1 && to.head === 2))
      const { circuits } = await faithfulnessOf(model, { ...pair, circuits: [{ edges: cut }] })
      const hook = 'blocks.1.attn.hook_q'
      const { captures } = await model.run(captureInput(model, pair.corrupt, [hook]))
      const [, positions, heads, width] = captures[hook].shape
      const value = new Float32Array(positions * width)
      for (let p = 0; p < positions; p++)
        for (let d = 0; d < width; d++)
          value[p * width + d] = captures[hook].data[(p * heads + 2) * width + d]
      const request = runRequest.parse({
        model: model.facts.fingerprint,
        rows: [pair.clean],
        interventions: [{ hook, heads: [2], operation: { kind: 'replace', value: 'q' } }],
      })
      const tensors = { q: { shape: [positions, 1, width], data: value } }
      const { logits } = await model.run({ request, tensors })
      expect(circuits[0].metric).toBeCloseTo((logits?.data[7] ?? NaN) - (logits?.data[11] ?? NaN), 5)
    }))
})
