import { describe, expect, it } from 'vitest'
import { faithfulness as faithfulnessOf } from '../../../main/analysis/attribution/edges/faithfulness'
import { edgeAttribution } from '../../../main/analysis/attribution/edges/score'
import { gradientsOf } from '../../../main/analysis/attribution/gradients'
import { placed } from '../../../main/analysis/attribution/metric'
import { captureInput } from '../../../main/analysis/captures'
import { relativeError } from '../../../main/analysis/parity/case'
import type { EdgeTarget } from '../../../preload/attribution'
import { difference, families, graphOf, pair, scoresOf, slope, withModel } from './edge-models'

describe('edge attribution', () => {
  it.each(families)('is the slope of the metric along each edge, by finite differences on %s', (family) =>
    withModel(family, async (model) => {
      const graph = graphOf(model)
      const scores = await scoresOf(model)
      // Every kind of target, each from an early and a late source.
      const layer = model.facts.layers - 1
      const chosen = graph.targets.flatMap((to, target) =>
        to.kind === 'logits' ||
        (to.layer === layer && (!('head' in to) || to.head === 1 % model.facts.kvHeads))
          ? [0, graph.visible[target] - 1].map((source) => ({ target, source }))
          : [],
      )
      expect(chosen).toHaveLength(10)
      const got: number[] = []
      const want: number[] = []
      for (const { target, source } of chosen) {
        const edge = { from: graph.sources[source], to: graph.targets[target] }
        want.push(await slope(model, pair, edge))
        got.push(scores[graph.offsets[target] + source])
      }
      const vector = (values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) })
      expect(relativeError(vector(got), vector(want))).toBeLessThan(5e-3)
    }),
  )

  it.each(families)(
    'adds up over sources to the whole input, and over a block’s targets to its gradient, on %s',
    (family) =>
      withModel(family, async (model) => {
        const graph = graphOf(model)
        const scores = await scoresOf(model)
        const layer = model.facts.layers - 1
        const [pre, post] = [`blocks.${layer}.hook_resid_pre`, `blocks.${layer}.hook_resid_post`]
        const metric = placed(model, pair.metric, pair.clean)
        const run = await gradientsOf(model, { rows: [[...pair.clean]], metric, hooks: [pre, post] })
        const captured = async (hook: string): Promise<Float32Array> => {
          const of = async (tokens: readonly number[]) =>
            (await model.run(captureInput(model, tokens, [hook]))).captures[hook].data
          return difference(await of(pair.corrupt), await of(pair.clean))
        }
        const product = (a: Float32Array, b: Float32Array): number =>
          a.reduce((sum, x, i) => sum + x * b[i], 0)
        const sumInto = (wanted: (to: EdgeTarget) => boolean, sources: number): number =>
          graph.targets.reduce(
            (sum, to, target) =>
              wanted(to)
                ? sum +
                  scores
                    .subarray(graph.offsets[target], graph.offsets[target] + sources)
                    .reduce((a, b) => a + b, 0)
                : sum,
            0,
          )
        const logits = sumInto((to) => to.kind === 'logits', graph.sources.length)
        expect(logits).toBeCloseTo(product(await captured(post), run.gradient(post).data), 3)
        // Sources before the last block, into all of its targets and straight on to the logits: the gradient at its input.
        const early = sumInto((to) => to.kind === 'logits' || to.layer === layer, graph.before[layer])
        expect(early).toBeCloseTo(product(await captured(pre), run.gradient(pre).data), 3)
      }),
  )

  it('is complete from the embedding with integrated gradients', () =>
    withModel('llama', async (model) => {
      const graph = graphOf(model)
      const scores = await scoresOf(model, { ...pair, method: 'eap-ig', steps: 64 })
      const embedded = graph.offsets.reduce((sum, offset) => sum + scores[offset], 0)
      const { ends } = await edgeAttribution(model, { ...pair, top: 1 })
      expect(embedded).toBeCloseTo(ends.corrupt - ends.clean, 2)
    }))

  it('lists the largest edges first, and cuts circuits out of the same order', () =>
    withModel('llama', async (model) => {
      const result = await edgeAttribution(model, { ...pair, top: 30 })
      const sizes = result.edges.map(({ score }) => Math.abs(score))
      expect(sizes).toEqual([...sizes].sort((a, b) => b - a))
      const edges = result.edges.map(({ from, to }) => ({ from, to }))
      const { circuits } = await faithfulnessOf(model, { ...pair, circuits: [{ top: 30 }, { edges }] })
      expect(circuits[0]).toEqual(circuits[1])
    }))

  it('refuses prompts of different length, and exported graphs', () =>
    withModel('llama', async (model) => {
      await expect(edgeAttribution(model, { ...pair, corrupt: [3, 9], top: 1 })).rejects.toMatchObject({
        field: 'corrupt',
      })
      await expect(edgeAttribution({ ...model, insides: null }, { ...pair, top: 1 })).rejects.toThrow(
        /exported graph/,
      )
    }))

  it('stops when it is cancelled', () =>
    withModel('llama', async (model) => {
      const controller = new AbortController()
      const running = edgeAttribution(
        model,
        { ...pair, top: 1 },
        { signal: controller.signal, onProgress: () => controller.abort() },
      )
      await expect(running).rejects.toMatchObject({ code: 'run.cancelled' })
    }))
})
