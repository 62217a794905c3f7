/** What the four views show: results made for the screen, never whole caches. */
import { z } from 'zod'
import { tokenInfo } from './prompt'
import { finishReasons, provenance, runRequest } from './run'
import { floatArray, floatTensor, intArray, intTensor } from './tensor'

/** Every view's result carries the request behind it, to be copied, and what it was computed on. */
export const evidence = z.object({ request: runRequest, provenance })
export type Evidence = z.infer<typeof evidence>

/** Logit lens (nostalgebraist 2020): softmax(unembed(final_norm(h))) of the residual stream at each point and position. */
export const lensMap = z.object({
  evidence,
  /** Hook names of the n_layers + 1 points, first to last. */
  points: z.array(z.string()),
  topIds: intTensor, // [point, pos]
  topProbabilities: floatTensor, // [point, pos]
  /** Entropy of the distribution in nats. */
  entropies: floatTensor, // [point, pos]
  /** Rank (0 = top) and probability of the token that the model finally predicts at each position. */
  finalRanks: intTensor, // [point, pos]
  finalProbabilities: floatTensor, // [point, pos]
  tokens: z.record(z.string(), tokenInfo),
})
export type LensMap = z.infer<typeof lensMap>

export const candidate = tokenInfo.extend({ probability: z.number(), logit: z.number() })
export type Candidate = z.infer<typeof candidate>

export const lensCell = z.object({
  evidence,
  points: z.array(z.string()),
  top: z.array(candidate),
  ranks: intTensor, // [candidate, point], 0 = top
  probabilities: floatTensor, // [candidate, point]
})
export type LensCell = z.infer<typeof lensCell>

export const attentionLayer = z.object({
  evidence,
  layer: z.number().int(),
  patterns: floatTensor, // [head, q_pos, k_pos]
})
export type AttentionLayer = z.infer<typeof attentionLayer>

/** Small pictures of all heads of all layers, averaged down to at most `side` × `side` cells. */
export const attentionOverview = z.object({
  evidence,
  thumbnails: floatTensor, // [layer, head, side, side]
  /** Mean over queries of attention to the first position, to the previous one, and entropy in nats: [layer, head] */
  toFirst: floatTensor,
  toPrevious: floatTensor,
  entropy: floatTensor,
})
export type AttentionOverview = z.infer<typeof attentionOverview>

export const nextTokens = z.object({
  evidence,
  position: z.number().int(),
  entropy: z.number(),
  top: z.array(candidate),
})
export type NextTokens = z.infer<typeof nextTokens>

export const histogram = z.object({ edges: floatArray, counts: intArray })
export type Histogram = z.infer<typeof histogram>

/** One hook point's activation for a prompt. The heatmap's rows are positions; its columns the other axes, flattened. */
export const activationView = z.object({
  evidence,
  hook: z.string(),
  dims: z.array(z.string()),
  shape: z.array(z.number().int()), // without batch
  rows: z.number().int(),
  columns: z.number().int(),
  /** [rows, shown columns]; where there are more columns than fit, each shown one is the entry of largest magnitude of its group. */
  heatmap: floatTensor,
  columnsPerCell: z.number().int(),
  /** L2 norm of each row. */
  norms: floatArray,
  histogram,
  statistics: z.object({
    mean: z.number(),
    standardDeviation: z.number(),
    minimum: z.number(),
    maximum: z.number(),
    notFinite: z.number(),
  }),
})
export type ActivationView = z.infer<typeof activationView>

/** Token alignment by edit distance: each entry pairs a left with a right position; null where one side has none. */
export const alignedPair = z.object({
  left: z.number().int().nullable(),
  right: z.number().int().nullable(),
  same: z.boolean(),
})
export type AlignedPair = z.infer<typeof alignedPair>

export const mover = tokenInfo.extend({
  leftProbability: z.number(),
  rightProbability: z.number(),
  leftLogit: z.number(),
  rightLogit: z.number(),
})
export type Mover = z.infer<typeof mover>

export const comparison = z.object({
  left: lensMap,
  right: lensMap,
  alignment: z.array(alignedPair),
  /** L2 norms of the residual stream, [point, pos] each. */
  leftNorms: floatTensor,
  rightNorms: floatTensor,
  /** Cosine of the two residual streams and KL(left ‖ right) of their lens distributions, [point, aligned]; NaN where unpaired. */
  cosines: floatTensor,
  divergences: floatTensor,
  /** Tokens whose probability after the last position differs most. */
  movers: z.array(mover),
})
export type Comparison = z.infer<typeof comparison>

export const attentionComparison = z.object({
  layer: z.number().int(),
  left: floatTensor, // [head, q, k]
  right: floatTensor, // [head, q, k]
  /** right − left over aligned positions, [head, aligned, aligned]; NaN where a side has none. */
  difference: floatTensor,
})
export type AttentionComparison = z.infer<typeof attentionComparison>

/** One step of baseline and steered generation. `divergence`: KL(steered ‖ unsteered) in nats on the steered text so far. */
export const steerStep = z.object({
  step: z.number().int(),
  baseline: tokenInfo.nullable(),
  steered: tokenInfo.nullable(),
  baselineLogProb: z.number().nullable(),
  steeredLogProb: z.number().nullable(),
  divergence: z.number().nullable(),
})
export type SteerStep = z.infer<typeof steerStep>

export const steerResult = z.object({
  provenance,
  promptTokens: z.number().int(),
  steps: z.array(steerStep),
  baselineText: z.string(),
  steeredText: z.string(),
  baselineFinish: z.enum(finishReasons),
  steeredFinish: z.enum(finishReasons),
})
export type SteerResult = z.infer<typeof steerResult>
