/**
 * Edge attribution patching. EAP (Syed, Rager & Conmy 2023): score(u → v) = (corrupt output − clean output of u) ·
 * ∂metric/∂(input of v) at the clean prompt; an output is what reaches the residual stream, behind a norm that stands there
 * (head-writing.ts). EAP-IG (Hanna, Pezzelle & Belinkov 2024) takes the mean gradient on the straight
 * line between the two prompts' embeddings instead; here by the midpoint rule, (k + ½)/steps of the way.
 */
import { canonicalJson } from '../../../../preload/canonical'
import type { AttributionMetric, EdgeAttribution, MetricEnds } from '../../../../preload/attribution'
import { PatchbayError } from '../../../../preload/errors'
import type { Tensor } from '../../../../preload/tensor'
import type { Evidence } from '../../../../preload/views'
import { throwIfCancelled } from '../../../runtime/cancelled'
import { captureInput } from '../../captures'
import { evidenceOf } from '../../evidence'
import type { RunOptions } from '../../subject'
import { gradientsOf, type Gradients } from '../gradients'
import { endsOf, metricOfPrompt, pairOf, type Pair } from '../pair'
import { insidesOf, type AttributionModel, type Insides } from '../subject'
import { edgeAt, edgeGraph, type EdgeGraph } from './graph'
import { headWritings } from './head-writing'
import { Products } from './products'
import { checkSize, sourceHooks, SourceOutputs } from './sources'
import { gradientHooks, targetGradients, type BlockGradients } from './target-gradients'

export interface EdgeScoring {
  clean: readonly number[]
  corrupt: readonly number[]
  metric: AttributionMetric
  method: EdgeAttribution['method']
  steps: number
}

export interface EdgeScores {
  readonly graph: EdgeGraph
  /** By edge number. */
  readonly scores: Float32Array
  /** Edge numbers, largest |score| first. */
  readonly order: Uint32Array
  readonly ends: MetricEnds
  readonly evidence: Evidence
  readonly source: Evidence
}

/** Elements of the residual streams of one batch of steps. */
const BATCH_ELEMENTS = 2 ** 20

/** The scores that were computed last, for a circuit to be cut out of them. */
const recent = new WeakMap<AttributionModel, Map<string, EdgeScores>>()
const REMEMBERED = 4

/**
 * Scores of all edges; those computed last are remembered.
 * @throws PatchbayError `model.unsupported` for models without such a graph, `input.invalid` for prompts of different length
 */
export async function edgeScores(
  model: AttributionModel,
  scoring: EdgeScoring,
  options: RunOptions = {},
): Promise<EdgeScores> {
  const { clean, corrupt, metric, method, steps } = scoring
  const remembered = recent.get(model) ?? new Map<string, EdgeScores>()
  recent.set(model, remembered)
  const key = canonicalJson({ clean, corrupt, metric, method, steps: method === 'eap' ? 1 : steps })
  const known = remembered.get(key)
  if (known !== undefined) return known
  const computed = await compute(model, scoring, options)
  remembered.set(key, computed)
  for (const oldest of remembered.keys()) {
    if (remembered.size <= REMEMBERED) break
    remembered.delete(oldest)
  }
  return computed
}

/** The clean and the corrupt prompt of an edge graph. @throws PatchbayError `input.invalid` for different lengths */
export function edgePair(model: AttributionModel, scoring: Omit<EdgeScoring, 'method' | 'steps'>): Pair {
  const { clean, corrupt } = scoring
  if (clean.length !== corrupt.length)
    throw new PatchbayError(
      'input.invalid',
      `Edges are attributed between prompts of equal length; these have ${clean.length} and ${corrupt.length} tokens.`,
      { next: 'Word the prompts so that they have as many tokens.', field: 'corrupt' },
    )
  return pairOf(model, { ...scoring, direction: 'noising' })
}

async function compute(
  model: AttributionModel,
  scoring: EdgeScoring,
  options: RunOptions,
): Promise<EdgeScores> {
  const insides = insidesOf(model, 'edge attribution')
  const { spec } = insides
  const graph = edgeGraph(spec, model.facts.name)
  const pair = edgePair(model, scoring)
  checkSize(graph, spec, pair.clean.tokens.length)
  const { signal } = options
  const hooks = sourceHooks(spec)
  const [cleanInput, corruptInput] = [pair.clean, pair.corrupt].map(({ tokens }) =>
    captureInput(model, tokens, hooks),
  )
  const clean = (await model.run(cleanInput, { signal })).captures
  const corrupt = (await model.run(corruptInput, { signal })).captures
  const differences = new SourceOutputs(graph, spec, await headWritings(insides), pair.clean.tokens.length)
  differences.setDifference(corrupt, clean)

  const scores = new Float64Array(graph.count)
  const embedded = (captures: typeof clean): Tensor => captures['blocks.0.hook_resid_pre']
  const starts =
    scoring.method === 'eap' ? [undefined] : between(embedded(corrupt), embedded(clean), scoring.steps)
  const steps = scoring.method === 'eap' ? 1 : scoring.steps
  let evidence: Evidence | null = null
  for (const [batch, residual] of starts.entries()) {
    throwIfCancelled(signal)
    const run = await gradientsOf(
      model,
      {
        rows: Array.from({ length: residual?.shape[0] ?? 1 }, () => [...pair.clean.tokens]),
        metric: pair.clean.metric,
        hooks: gradientHooks(spec.blocks),
        captures: spec.blocks.map((_, layer) => `blocks.${layer}.hook_resid_pre`),
        residual,
      },
      { signal, transient: true },
    )
    evidence ??= run.evidence
    await addScores(insides, graph, run, differences, scores, (layer) => {
      throwIfCancelled(signal)
      options.onProgress?.(batch * spec.blocks.length + layer + 1, starts.length * spec.blocks.length)
    })
  }
  if (evidence === null) throw new PatchbayError('internal', 'No step was taken.')
  const mean = Float32Array.from(scores, (score) => score / steps)
  const order = Uint32Array.from(mean.keys())
  order.sort((a, b) => Math.abs(mean[b]) - Math.abs(mean[a]) || a - b)
  const ends = endsOf(
    await metricOfPrompt(model, pair.clean, { signal }),
    await metricOfPrompt(model, pair.corrupt, { signal }),
  )
  return { graph, scores: mean, order, ends, evidence, source: evidenceOf(model, corruptInput) }
}

/** Residual streams at block 0 on the line from `from` to `to`, in batches [rows, pos, d_model]. */
function between(from: Tensor, to: Tensor, steps: number): Tensor[] {
  const [, ...inner] = from.shape
  const size = from.data.length
  const together = Math.max(1, Math.floor(BATCH_ELEMENTS / size))
  const batches: Tensor[] = []
  for (let start = 0; start < steps; start += together) {
    const rows = Math.min(together, steps - start)
    const data = new Float32Array(rows * size)
    for (let row = 0; row < rows; row++) {
      const alpha = (start + row + 0.5) / steps
      for (let i = 0; i < size; i++) data[row * size + i] = from.data[i] + alpha * (to.data[i] - from.data[i])
    }
    batches.push({ shape: [rows, ...inner], data })
  }
  return batches
}

/** Adds, for each edge, difference · gradient, summed over the run's rows. */
async function addScores(
  insides: Insides,
  graph: EdgeGraph,
  run: Gradients,
  differences: SourceOutputs,
  scores: Float64Array,
  onLayer: (layer: number) => void,
): Promise<void> {
  const { blocks } = insides.spec
  const { size } = differences
  const products = await Products.create()
  let target = 0
  /** The next targets' gradients [targets, size] on the outputs of all sources that the last of them sees. */
  const add = async (gradients: Float32Array): Promise<void> => {
    const count = gradients.length / size
    const sources = graph.visible[target + count - 1]
    const found = await products.overRows(gradients, differences.first(sources), size)
    for (let i = 0; i < count; i++, target++)
      for (let source = 0; source < graph.visible[target]; source++)
        scores[graph.offsets[target] + source] += found[i * sources + source]
  }
  try {
    for (const [layer, block] of blocks.entries()) {
      const at = (site: string): Float32Array => run.gradient(`blocks.${layer}.${site}`).data
      const gradients: BlockGradients = {
        input: run.activation(`blocks.${layer}.hook_resid_pre`).data,
        q: at('attn.hook_q'),
        k: at('attn.hook_k'),
        v: at('attn.hook_v'),
        atInput: at('hook_resid_pre'),
        atMid: block.topology === 'parallel' ? null : at('hook_resid_mid'),
        atOutput: at('hook_resid_post'),
      }
      await add(await targetGradients(insides, products, block, gradients, size))
      onLayer(layer)
    }
    const final = run.gradient(`blocks.${blocks.length - 1}.hook_resid_post`).data
    const summed = new Float32Array(size)
    for (let i = 0; i < final.length; i++) summed[i % size] += final[i]
    await add(summed)
  } finally {
    await products.release()
  }
}

/** Scores of all edges, of which the `top` largest are listed. */
export async function edgeAttribution(
  model: AttributionModel,
  scoring: EdgeScoring & { top: number },
  options: RunOptions = {},
): Promise<EdgeAttribution> {
  const { graph, scores, order, ends, evidence, source } = await edgeScores(model, scoring, options)
  return {
    evidence,
    source,
    method: scoring.method,
    ends,
    layers: model.facts.layers,
    heads: model.facts.heads,
    kvHeads: model.facts.kvHeads,
    count: graph.count,
    edges: Array.from(order.subarray(0, scoring.top), (edge) => ({
      ...edgeAt(graph, edge),
      score: scores[edge],
    })),
    totalMagnitude: scores.reduce((sum, score) => sum + Math.abs(score), 0),
  }
}
