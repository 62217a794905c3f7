/** Models with edge graphs, a pair of prompts for them, and what an edge does by ordinary runs and interventions. */
import { edgeAttribution, type EdgeScoring } from '../../../main/analysis/attribution/edges/score'
import {
  edgeAt,
  edgeGraph,
  EdgeNumbers,
  type EdgeGraph,
} from '../../../main/analysis/attribution/edges/graph'
import { metricOf, placed } from '../../../main/analysis/attribution/metric'
import { captureInput } from '../../../main/analysis/captures'
import { edgeAttribution as schema, type Edge, type EdgeTarget } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { runRequest, type RunInput } from '../../../preload/run'
import { openFamily, type OpenedModel } from './reference'

/** Sequential and parallel blocks, both norms, norms behind attention and MLP, separate, stacked and grouped projections, kv groups, experts, multipliers. */
export const families = [
  'gpt2',
  'llama',
  'gpt_neox',
  'falcon_new_decoder',
  'qwen2',
  'phi',
  'phi3',
  'mixtral',
  'granite',
  'gpt_bigcode',
  'bloom',
  'cohere',
  'gemma2',
  'gemma3_text',
  'olmo2',
  'glm4',
]
export const pair: EdgeScoring = {
  clean: [3, 17, 5, 40, 8, 21],
  corrupt: [3, 9, 5, 33, 8, 21],
  metric: { kind: 'logit-difference', positive: 7, negative: 11, position: 'last' },
  method: 'eap',
  steps: 4,
}

export async function withModel<T>(family: string, work: (model: OpenedModel) => Promise<T>): Promise<T> {
  const model = await openFamily(family)
  try {
    return await work(model)
  } finally {
    await model.close()
  }
}

export const graphOf = (model: OpenedModel): EdgeGraph => {
  if (model.insides === null) throw new PatchbayError('internal', 'The model has no insides.')
  return edgeGraph(model.insides.spec, model.facts.name)
}

export const allEdges = (model: OpenedModel): Edge[] => {
  const graph = graphOf(model)
  return Array.from({ length: graph.count }, (_, edge) => edgeAt(graph, edge))
}

/** Scores by edge, in the graph's order. */
export async function scoresOf(model: OpenedModel, scoring: EdgeScoring = pair): Promise<Float32Array> {
  const graph = graphOf(model)
  const numbers = new EdgeNumbers(graph)
  const result = await edgeAttribution(model, { ...scoring, top: graph.count })
  schema.parse(result)
  const scores = new Float32Array(graph.count)
  for (const edge of result.edges) scores[numbers.of(edge)] = edge.score
  return scores
}

export const difference = (a: Float32Array, b: Float32Array): Float32Array => a.map((x, i) => x - b[i])

/** What each source writes for corrupt minus clean, at all positions, by the model's own captures. */
async function written(
  model: OpenedModel,
  { clean, corrupt }: EdgeScoring,
  from: Edge['from'],
): Promise<Float32Array> {
  const hook =
    from.kind === 'embed'
      ? 'blocks.0.hook_resid_pre'
      : `blocks.${from.layer}.${from.kind === 'mlp' ? 'hook_mlp_out' : 'attn.hook_result'}`
  const of = async (tokens: readonly number[]): Promise<Float32Array> => {
    if (from.kind !== 'head')
      return (await model.run(captureInput(model, tokens, [hook]))).captures[hook].data
    // Its share of what attention adds to the stream, which a norm behind it scales as a whole.
    const out = `blocks.${from.layer}.hook_attn_out`
    const { captures } = await model.run(captureInput(model, tokens, [hook, out]))
    const { shape, data } = captures[hook]
    const [, positions, heads, width] = shape
    const one = new Float32Array(positions * width)
    const { residualMultiplier = NaN, attentionPostNorm: norm = null } =
      model.insides?.spec.blocks[from.layer] ?? {}
    const gains = norm?.weight ? await model.insides?.weight(norm.weight) : undefined
    const gain = (d: number): number => (norm === null ? 1 : (gains?.[d] ?? NaN))
    for (let p = 0; p < positions; p++) {
      const result = (d: number): number => {
        let sum = 0
        for (let head = 0; head < heads; head++) sum += data[(p * heads + head) * width + d]
        return sum
      }
      /** At the element where attention's sum is largest, so that it may be divided by. */
      const at = Array.from({ length: width }, (_, d) => d).reduce((a, b) =>
        Math.abs(result(b)) > Math.abs(result(a)) ? b : a,
      )
      const scale =
        norm === null ? residualMultiplier : captures[out].data[p * width + at] / result(at) / gain(at)
      for (let d = 0; d < width; d++)
        one[p * width + d] = scale * gain(d) * data[(p * heads + from.head) * width + d]
    }
    return one
  }
  return difference(await of(corrupt), await of(clean))
}

/** The clean metric when the input of one target alone is shifted, by ordinary runs and interventions. */
async function shiftedMetric(
  model: OpenedModel,
  { clean, metric }: EdgeScoring,
  to: EdgeTarget,
  shift: Float32Array,
): Promise<number> {
  const { fingerprint, layers } = model.facts
  const layer = to.kind === 'logits' ? layers : to.layer
  const sequential = model.insides?.spec.blocks[0].topology === 'sequential'
  const input =
    to.kind === 'logits'
      ? `blocks.${layers - 1}.hook_resid_post`
      : `blocks.${layer}.${to.kind === 'mlp' && sequential ? 'hook_resid_mid' : 'hook_resid_pre'}`
  const before = `blocks.${layer}.hook_resid_pre`
  const hooks = to.kind === 'logits' ? [input] : [input, before]
  const { captures } = await model.run(captureInput(model, clean, hooks))
  const moved = { ...captures[input], data: captures[input].data.map((x, i) => x + shift[i]) }
  const metricFrom = async (run: RunInput): Promise<number> =>
    metricOf((await model.run(run)).logits, 0, placed(model, metric, clean))
  if (to.kind === 'logits') {
    const start = { layer, residual: 'r' }
    const request = runRequest.parse({ model: fingerprint, rows: [clean], start })
    return metricFrom({ request, tensors: { r: moved } })
  }
  const read = `blocks.${layer}.${to.kind === 'mlp' ? 'hook_mlp_out' : `attn.hook_${to.kind}`}`
  const inside = to.kind === 'mlp' && sequential
  const shape = moved.shape.slice(1)
  const request = runRequest.parse({
    model: fingerprint,
    rows: [clean],
    start: { layer, residual: 'r' },
    stopLayer: layer + 1,
    captures: [read],
    logits: 'none',
    interventions: inside ? [{ hook: input, operation: { kind: 'replace', value: 'x' } }] : [],
  })
  const tensors: RunInput['tensors'] = inside
    ? { r: captures[before], x: { shape, data: moved.data } }
    : { r: moved }
  const got = (await model.run({ request, tensors })).captures[read]
  const heads = 'head' in to ? [to.head] : undefined
  const value = { shape: got.shape.slice(1), data: got.data }
  if (heads !== undefined) {
    const [, positions, count, width] = got.shape
    const one = new Float32Array(positions * width)
    for (let p = 0; p < positions; p++)
      one.set(
        got.data.subarray((p * count + heads[0]) * width, (p * count + heads[0] + 1) * width),
        p * width,
      )
    Object.assign(value, { shape: [positions, 1, width], data: one })
  }
  const whole = runRequest.parse({
    model: fingerprint,
    rows: [clean],
    interventions: [{ hook: read, heads, operation: { kind: 'replace', value: 'v' } }],
  })
  return metricFrom({ request: whole, tensors: { v: value } })
}

/** d metric / d (share of the corrupt activation that an edge carries), by central differences around the clean run. */
export async function slope(model: OpenedModel, scoring: EdgeScoring, { from, to }: Edge): Promise<number> {
  const along = await written(model, scoring, from)
  const at = (share: number): Promise<number> =>
    shiftedMetric(
      model,
      scoring,
      to,
      along.map((x) => x * share),
    )
  return ((await at(STEP)) - (await at(-STEP))) / (2 * STEP)
}

/** Small enough for curvature, large enough for float32. */
const STEP = 0.03
