/**
 * Attribution: which parts of a model, of a prompt, or of a difference between two prompts a prediction comes from. The
 * calls' inputs, and results made for the screen. Token ids everywhere; positions count from 0.
 */
import { z } from 'zod'
import { modelHandle } from './model'
import { tokenInfo } from './prompt'
import { tokenIds } from './run'
import { floatArray, floatTensor } from './tensor'
import { alignedPair, evidence } from './views'

const index = z.number().int().nonnegative()
const progress = z.object({ done: z.number().int(), total: z.number().int() })

/** Where a metric is read: after this position, or after the last one of each prompt. */
const metricPosition = z.union([z.literal('last'), index]).default('last')

/**
 * The number that is attributed, of the logits after one position (soft-cap included):
 * - logit: logit(token)
 * - logit-difference: logit(positive) − logit(negative)
 * - log-probability: ln p(token), in nats
 */
export const attributionMetric = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('logit'), token: index, position: metricPosition }),
  z.object({
    kind: z.literal('logit-difference'),
    positive: index,
    negative: index,
    position: metricPosition,
  }),
  z.object({ kind: z.literal('log-probability'), token: index, position: metricPosition }),
])
export type AttributionMetric = z.infer<typeof attributionMetric>
export type AttributionMetricInput = z.input<typeof attributionMetric>

/** Direct logit attribution: what each part writes along the unembedding of a token (minus another's). */
export const directInput = z.object({
  model: modelHandle,
  tokens: tokenIds,
  positive: index,
  /** Null attributes the logit of `positive` alone. */
  negative: index.nullable().default(null),
  position: metricPosition,
  /** Also the neurons of one layer that contribute most. */
  neurons: z.object({ layer: index, count: z.number().int().min(1).max(1000).default(20) }).optional(),
})

export const neuronContribution = z.object({
  layer: z.number().int(),
  neuron: z.number().int(),
  /** Activation (mlp.hook_post) at the position. */
  activation: z.number(),
  contribution: z.number(),
})
export type NeuronContribution = z.infer<typeof neuronContribution>

/**
 * Σ heads + Σ attentionBias + Σ mlps + embedding + constant = total, the logit (difference) before any soft-cap, with the
 * scales of all norms behind each part frozen at what they are in this run. `uncapped` is the same number as the model
 * computes it, and `remainder` = uncapped − total: rounding, and nothing else.
 */
export const directAttribution = z.object({
  evidence,
  position: z.number().int(),
  positive: tokenInfo,
  negative: tokenInfo.nullable(),
  heads: floatTensor, // [layer, head]
  attentionBias: floatArray, // [layer]
  mlps: floatArray, // [layer]
  /** What enters block 0: token and learned position embeddings. */
  embedding: z.number(),
  /** The same whatever the prompt: biases of norms and of the unembedding. */
  constant: z.number(),
  total: z.number(),
  uncapped: z.number(),
  remainder: z.number(),
  /** The model's logit (difference), soft-cap included. */
  logit: z.number(),
  softcap: z.number().nullable(),
  /** What the final norm divides by at the position; null without one. */
  scale: z.number().nullable(),
  /** Largest contributions first, by magnitude; `rest` is the layer's MLP without them (its bias too). */
  neurons: z.object({ top: z.array(neuronContribution), rest: z.number() }).nullable(),
  /** What was frozen, in sentences. */
  notes: z.array(z.string()),
})
export type DirectAttribution = z.infer<typeof directAttribution>

/** Where integrated gradients start: nothing, another prompt of the same length, or the vocabulary's mean embedding. */
export const tokenBaseline = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('zero') }),
  z.object({ kind: z.literal('prompt'), tokens: tokenIds }),
  z.object({ kind: z.literal('mean') }),
])
export type TokenBaseline = z.infer<typeof tokenBaseline>

export const tokensInput = z.object({
  model: modelHandle,
  tokens: tokenIds,
  metric: attributionMetric,
  method: z.enum(['gradient-input', 'integrated-gradients']).default('integrated-gradients'),
  /** For integrated gradients. */
  baseline: tokenBaseline.default({ kind: 'zero' }),
  steps: z.number().int().min(1).max(512).default(16),
})

/**
 * Attribution to the prompt's tokens at hook_embed e (learned positions stay as they are).
 * - gradient-input: Σ_d e · ∂m/∂e.
 * - integrated-gradients (Sundararajan et al. 2017): Σ_d (e − b) · mean over k of ∂m/∂e at b + (k + ½)/steps · (e − b).
 */
export const tokenAttribution = z.object({
  evidence,
  method: z.enum(['gradient-input', 'integrated-gradients']),
  steps: z.number().int(),
  scores: floatArray, // [pos]
  /** L2 norm over d of what `scores` sums: how much cancels within a token. */
  norms: floatArray, // [pos]
  metric: z.number(),
  /** Metric at the baseline; null for gradient × input, which has none. */
  baselineMetric: z.number().nullable(),
  /**
   * Completeness: integrated gradients should sum to metric − baselineMetric; gap = Σ scores − (metric − baselineMetric).
   * It stays large for a zero baseline under RMSNorm, however many steps are taken. Null for gradient × input.
   */
  gap: z.number().nullable(),
})
export type TokenAttribution = z.infer<typeof tokenAttribution>

export const directions = ['denoising', 'noising'] as const
export type PatchDirection = (typeof directions)[number]

/** Two prompts; of different length only positions that the alignment pairs are patched. */
const pairFields = { model: modelHandle, clean: tokenIds, corrupt: tokenIds, metric: attributionMetric }

/**
 * Noising runs clean and puts activations of corrupt in; denoising runs corrupt and puts those of clean in. The prompt
 * that is run is the base, the other one the source.
 */
const direction = z.enum(directions).default('denoising')

export const patchSites = ['resid_pre', 'attn_out', 'mlp_out', 'z', 'neurons'] as const
export type PatchSite = (typeof patchSites)[number]

/** The metric of the two prompts as they are. */
export const metricEnds = z.object({
  clean: z.number(),
  corrupt: z.number(),
  /** Why nothing is normalised, in a sentence: clean and corrupt have (nearly) the same metric. Null where it is. */
  problem: z.string().nullable(),
})
export type MetricEnds = z.infer<typeof metricEnds>

/**
 * A map of effects on the metric, in its units. `normalised`: (base + effect − corrupt) / (clean − corrupt), 0 as corrupt
 * and 1 as clean; null where the two are the same. Cells of positions without a partner are NaN.
 */
export const effectMap = z.object({ effect: floatTensor, normalised: floatTensor.nullable() })
export type EffectMap = z.infer<typeof effectMap>

export const patchingInput = z.object({
  ...pairFields,
  direction,
  sites: z.array(z.enum(patchSites)).min(1).default(['resid_pre', 'attn_out', 'mlp_out', 'z']),
  /** How many neurons to list. */
  neurons: z.number().int().min(1).max(1000).default(50),
})

export const neuronEffect = z.object({
  layer: z.number().int(),
  neuron: z.number().int(),
  effect: z.number(),
  normalised: z.number().nullable(),
})
export type NeuronEffect = z.infer<typeof neuronEffect>

/** Attribution patching (Nanda 2023): Σ (source − base) · ∂metric/∂activation at the base, an estimate for all sites at once. */
export const attributionPatching = z.object({
  evidence, // the base's run with its gradients
  source: evidence,
  direction: z.enum(directions),
  ends: metricEnds,
  /** left: clean, right: corrupt. */
  alignment: z.array(alignedPair),
  /** Maps by position count the base's positions. One block or sublayer at one position: [layer, pos] */
  residPre: effectMap.nullable(),
  attnOut: effectMap.nullable(),
  mlpOut: effectMap.nullable(),
  /** One head at all positions at once: [layer, head] */
  heads: effectMap.nullable(),
  /** The terms that `heads` sums: [layer, head, pos]. */
  headsByPosition: effectMap.nullable(),
  /** All positions at once, largest magnitude first; null where not asked for. */
  neurons: z.array(neuronEffect).nullable(),
  notes: z.array(z.string()),
})
export type AttributionPatching = z.infer<typeof attributionPatching>

/** A place whose activation is replaced by the source's. */
export const patchPlace = z.object({
  hook: z.string().min(1).max(200),
  /** Positions of the base; all that have a partner unless given. */
  positions: z.array(index).min(1).optional(),
  /** One head, at hook points with a head axis (for keys and values: a kv head). */
  head: index.optional(),
  /** Indices on the last axis: neurons. */
  units: z.array(index).min(1).optional(),
})
export type PatchPlace = z.infer<typeof patchPlace>

export const patchInput = z.object({ ...pairFields, direction, places: z.array(patchPlace).min(1).max(4096) })

/** The exact effect of each place patched alone, in the order asked for. */
export const patchResult = z.object({
  evidence, // the run of the first place
  direction: z.enum(directions),
  ends: metricEnds,
  places: z.array(z.object({ metric: z.number(), effect: z.number(), normalised: z.number().nullable() })),
})
export type PatchResult = z.infer<typeof patchResult>

/**
 * Nodes of the edge graph, all writing to the residual stream: the embedding, heads, MLPs; the logits only read.
 * An edge goes from a node's output to one input of a later node: a head's query (`q`), the key (`k`) or value (`v`) of a
 * key/value head (`head` then counts kv heads), an MLP's input (`mlp`), the logits (`logits`).
 */
export const edgeSource = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('embed') }),
  z.object({ kind: z.literal('head'), layer: index, head: index }),
  z.object({ kind: z.literal('mlp'), layer: index }),
])
export type EdgeSource = z.infer<typeof edgeSource>
export const edgeTarget = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['q', 'k', 'v']), layer: index, head: index }),
  z.object({ kind: z.literal('mlp'), layer: index }),
  z.object({ kind: z.literal('logits') }),
])
export type EdgeTarget = z.infer<typeof edgeTarget>
export const edge = z.object({ from: edgeSource, to: edgeTarget })
export type Edge = z.infer<typeof edge>

/** How edges are scored. Clean and corrupt must have the same length. */
const edgeScoring = {
  ...pairFields,
  /**
   * eap (Syed et al. 2023): gradient at the clean prompt. eap-ig (Hanna et al. 2024): mean gradient on the line from the
   * corrupt to the clean embeddings, midpoint rule.
   */
  method: z.enum(['eap', 'eap-ig']).default('eap'),
  steps: z.number().int().min(1).max(128).default(8),
}

export const edgesInput = z.object({ ...edgeScoring, top: z.number().int().min(1).max(20_000).default(200) })

export const scoredEdge = edge.extend({ score: z.number() })
export type ScoredEdge = z.infer<typeof scoredEdge>

/** score = Σ over positions and d of (corrupt output − clean output) of the source · gradient at the target's input: how much the metric of clean is estimated to change when the edge carries corrupt. */
export const edgeAttribution = z.object({
  evidence, // the clean run with its gradients
  source: evidence, // the corrupt run
  method: z.enum(['eap', 'eap-ig']),
  ends: metricEnds,
  layers: z.number().int(),
  heads: z.number().int(),
  kvHeads: z.number().int(),
  /** All edges of the graph, and those that follow: largest |score| first. */
  count: z.number().int(),
  edges: z.array(scoredEdge),
  /** Σ |score| of all edges, to say how much the shown ones hold. */
  totalMagnitude: z.number(),
})
export type EdgeAttribution = z.infer<typeof edgeAttribution>

export const circuit = z.union([
  z.object({ top: z.number().int().min(0) }),
  z.object({ edges: z.array(edge).max(100_000) }),
])
export type Circuit = z.infer<typeof circuit>

export const faithfulnessInput = z.object({
  ...edgeScoring,
  /** The n edges of largest |score|, or a set of edges. */
  circuits: z.array(circuit).min(1).max(64),
})

/**
 * For each circuit the metric of a run on clean in which every edge outside the circuit carries the activation of the
 * corrupt run, and every edge inside what its source computes in this very run (Hanna et al. 2024, section 2).
 * faithfulness = (metric − corrupt) / (clean − corrupt); null where clean and corrupt are the same.
 */
export const faithfulness = z.object({
  evidence, // the clean run
  ends: metricEnds,
  circuits: z.array(
    z.object({ edges: z.number().int(), metric: z.number(), faithfulness: z.number().nullable() }),
  ),
})
export type Faithfulness = z.infer<typeof faithfulness>

/** The calls, as `calls` in api.ts takes them. */
export const attributionCalls = {
  /** Direct logit attribution of one prompt. */
  'attribution.direct': { input: directInput, output: directAttribution, progress },
  /** Gradient × input, or integrated gradients, of the prompt's tokens. */
  'attribution.tokens': { input: tokensInput, output: tokenAttribution, progress },
  /** Estimates for all sites at once, from one forward and one backward pass. */
  'attribution.patching': { input: patchingInput, output: attributionPatching, progress },
  /** Chosen places patched for real. */
  'attribution.patch': { input: patchInput, output: patchResult, progress },
  /** Edges between heads and MLPs, scored by edge attribution patching. */
  'attribution.edges': { input: edgesInput, output: edgeAttribution, progress },
  /** How much of the metric circuits keep when everything outside them is corrupted. */
  'attribution.faithfulness': { input: faithfulnessInput, output: faithfulness, progress },
} satisfies Record<string, { input: z.ZodType; output: z.ZodType; progress: z.ZodType }>
